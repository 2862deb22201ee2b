#include "host/report/run_record.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>
#include <system_error>

#include "host/run/run_folder.h"
#include "host/run/safetensors.h"
#include "kernels/common/check.h"

namespace felbo::report {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  FELBO_CHECK(in.good() || in.eof(), "{}: cannot be read", path.string());
  return bytes;
}

/// Where a line of the metrics stands, for messages.
struct LineOf {
  const fs::path& path;
  int number;
  std::string text() const { return path.string() + ", line " + std::to_string(number); }
};

Json parse_line(const std::string& line, const LineOf& where) {
  Json json = Json::parse(line, nullptr, false);
  FELBO_CHECK(
      json.is_object() && json.contains("epoch") && json["epoch"].is_number_integer(),
      "{}: not a line of metrics (a JSON object with an epoch); repair the file, or go on with the run "
      "from its checkpoint (felbo train --resume), which removes what the checkpoint does not know of",
      where.text());
  return json;
}

void check_epoch(const Json& json, const Metrics& metrics, const LineOf& where) {
  const auto epoch = json["epoch"].get<std::int64_t>();
  const auto before = metrics.epochs.empty() ? 0 : static_cast<std::int64_t>(metrics.epochs.back());
  FELBO_CHECK(epoch == before + 1, "{}: epoch {} follows epoch {}: lines are missing or doubled",
              where.text(), epoch, before);
}

/// What no epoch of a run is without.
void check_figures(const Json& json, const LineOf& where) {
  for (const char* key : {"elbo", "log_px_given_z", "kl", "train_elbo", "train_log_px_given_z", "train_kl"}) {
    FELBO_CHECK(json.contains(key), "{}: there is no {}", where.text(), key);
    FELBO_CHECK(json[key].is_number() && std::isfinite(json[key].get<double>()),
                "{}: {} is {}, not a finite number: the run had left the finite numbers", where.text(), key,
                json[key].dump());
  }
}

void add_row(const Json& json, Metrics& metrics) {
  metrics.epochs.push_back(json["epoch"].get<double>());
  const std::size_t rows = metrics.epochs.size();
  for (const auto& [key, value] : json.items()) {
    if (key == "epoch" || !(value.is_number() || value.is_null())) continue;
    if (!metrics.has(key)) metrics.keys.push_back(key);
    std::vector<double>& column = metrics.columns[key];
    column.resize(rows, kNone);
    column.back() = value.is_number() ? value.get<double>() : std::numeric_limits<double>::infinity();
  }
  for (auto& [key, column] : metrics.columns) column.resize(rows, kNone);
}

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 4; ++i) word = word << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return word;
}

/// The signature, then the first chunk, IHDR, which begins with width and height (PNG, section 11.2.2).
Picture read_picture(const fs::path& path) {
  Picture picture{.name = path.filename().string(), .png = read_file(path)};
  constexpr std::size_t kHeader = 33;
  const bool begins = picture.png.starts_with("\x89PNG\r\n\x1a\n") && picture.png.size() > kHeader &&
                      picture.png.substr(12, 4) == "IHDR";
  FELBO_CHECK(begins, "{}: not a PNG picture; remove it", path.string());
  picture.width = static_cast<int>(big_endian(picture.png, 16));
  picture.height = static_cast<int>(big_endian(picture.png, 20));
  FELBO_CHECK(picture.width > 0 && picture.height > 0, "{}: a picture of {} x {} pixels", path.string(),
              picture.width, picture.height);
  return picture;
}

std::vector<Picture> read_pictures(const fs::path& run) {
  const RunFiles files = run_files(run);
  std::set<fs::path> others;
  for (const auto& entry : fs::directory_iterator(run)) {
    const fs::path& path = entry.path();
    if (path.extension() == ".png" && path != files.samples && path != files.reconstructions)
      others.insert(path);
  }
  std::vector<Picture> pictures;
  for (const fs::path& path : {files.samples, files.reconstructions})
    if (fs::exists(path)) pictures.push_back(read_picture(path));
  for (const fs::path& path : others) pictures.push_back(read_picture(path));
  return pictures;
}

Json read_evaluation(const fs::path& path) {
  if (!fs::exists(path)) return nullptr;
  Json json = Json::parse(read_file(path), nullptr, false);
  FELBO_CHECK(json.is_object() && json.contains("elbo") && json["elbo"].is_number(),
              "{}: not an evaluation as felbo evaluate --save writes it; remove it or evaluate again",
              path.string());
  return json;
}

void read_checkpoint(const fs::path& path, RunRecord& record) {
  if (!fs::exists(path)) return;
  const SafetensorsFile file(path);
  record.facts = file.metadata();
  for (const char* key : {"config", "format", "seed"}) record.facts.erase(key);
  std::int64_t count = 0;
  for (const std::string& name : file.names()) {
    if (name.starts_with("adam.")) continue;
    std::int64_t size = 1;
    for (const std::int64_t extent : file.shape(name)) size *= extent;
    count += size;
  }
  record.parameters = count;
}

/// The last `parts` names of a path.
std::string end_of(const fs::path& path, std::size_t parts) {
  const std::vector<fs::path> names(path.begin(), path.end());
  fs::path end;
  for (std::size_t i = names.size() - std::min(parts, names.size()); i < names.size(); ++i) end /= names[i];
  return end.string();
}

fs::path whole_path(const std::string& path) {
  std::error_code error;
  fs::path whole = fs::weakly_canonical(path, error);
  return error ? fs::path(path) : whole;
}

}  // namespace

std::vector<double> Metrics::column(const std::string& key) const {
  const auto found = columns.find(key);
  return found == columns.end() ? std::vector<double>(epochs.size(), kNone) : found->second;
}

double Metrics::last(const std::string& key) const {
  const std::vector<double> values = column(key);
  return values.empty() ? kNone : values.back();
}

Metrics read_metrics(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  FELBO_CHECK(in.good(), "{}: cannot be read", path.string());
  Metrics metrics;
  std::string line;
  for (int number = 1; std::getline(in, line) && !in.eof(); ++number) {
    const LineOf where{path, number};
    const Json json = parse_line(line, where);
    check_epoch(json, metrics, where);
    check_figures(json, where);
    add_row(json, metrics);
  }
  FELBO_CHECK(!metrics.epochs.empty(), "{}: the run has finished no epoch yet, so there is nothing to report",
              path.string());
  return metrics;
}

RunRecord read_run(const fs::path& run) {
  const RunFiles files = run_files(run);
  FELBO_CHECK(fs::is_directory(run), "{}: no such folder; name the folder of a run", run.string());
  for (const fs::path& path : {files.config, files.metrics}) {
    FELBO_CHECK(fs::is_regular_file(path),
                "{} holds no run to report: there is no {}; train one with `felbo "
                "train --out {}`",
                run.string(), path.filename().string(), run.string());
  }
  RunRecord record{.path = run.string(), .name = end_of(whole_path(run.string()), 1)};
  record.config = run_config_from_toml(read_file(files.config), files.config.string());
  record.metrics = read_metrics(files.metrics);
  record.pictures = read_pictures(run);
  record.evaluation = read_evaluation(files.evaluation);
  read_checkpoint(files.checkpoint, record);
  return record;
}

void make_names_unique(std::vector<RunRecord>& runs) {
  for (std::size_t parts = 1; parts < 64; ++parts) {
    std::set<std::string> names;
    for (RunRecord& run : runs) {
      run.name = end_of(whole_path(run.path), parts);
      names.insert(run.name);
    }
    if (names.size() == runs.size()) return;
  }
  throw std::invalid_argument("a run is named twice");
}

}  // namespace felbo::report
