#include "host/forensics/incident.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "host/report/npy_writer.h"
#include "host/run/atomic_file.h"
#include "host/run/run_folder.h"

namespace felbo {
namespace {

using nlohmann::ordered_json;

/// A number, or its name where JSON has none.
ordered_json number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

ordered_json sighting_json(const Sighting& seen, const std::vector<std::uint32_t>& rows) {
  std::vector<std::uint32_t> data;
  for (const std::int64_t place : seen.data) data.push_back(rows[static_cast<std::size_t>(place)]);
  return {{"op", seen.op},       {"tensor", seen.tensor},       {"row", seen.row},
          {"column", seen.col},  {"value", number(seen.value)}, {"count", seen.count},
          {"rows_of_data", data}};
}

}  // namespace

IncidentFiles incident_files(const std::filesystem::path& run) {
  const std::filesystem::path folder = run_files(run).nonfinite;
  return {folder / "report.json", folder / "checkpoint.safetensors", folder / "batch.npy"};
}

ordered_json incident_json(const RunConfig& config, int epoch, const Incident& incident) {
  const NextStep& next = incident.next;
  ordered_json json{
      {"what", incident.where},
      {"step", incident.bad.step},
      {"epoch", epoch},
      {"step_of_epoch", next.of_epoch + 1},
      {"steps_of_epoch", next.steps},
      {"seed", config.seed},
      {"lr", next.rates.lr},
      {"beta", next.rates.beta},
      {"elbo", number(incident.bad.elbo / static_cast<double>(next.rows.size()))},
      {"grad_norm", training_options(config).takes_norm() ? number(incident.bad.norm) : ordered_json()},
      {"device", incident.device},
      {"precision", config.precision},
      {"rows", next.rows}};
  json["first"] =
      incident.examination.first ? sighting_json(*incident.examination.first, next.rows) : ordered_json();
  return json;
}

void write_incident(const std::filesystem::path& run, const ordered_json& report, const std::vector<float>& x,
                    std::int64_t rows, const std::function<void(const std::filesystem::path&)>& save) {
  const IncidentFiles files = incident_files(run);
  std::filesystem::create_directories(files.report.parent_path());
  std::filesystem::remove(files.report);  // what is left half-way is no incident
  save(files.checkpoint);
  write_npy(files.batch, x, {rows, static_cast<std::int64_t>(x.size()) / rows});
  write_file_atomically(files.report,
                        report.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

ordered_json read_incident(const std::filesystem::path& run) {
  const std::filesystem::path path = incident_files(run).report;
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  FELBO_CHECK(in.good() && std::filesystem::is_regular_file(path),
              "{}: there is no {}: no step of this run was found to be not finite", run.string(),
              path.string());
  const ordered_json json = ordered_json::parse(text.str(), nullptr, false);
  FELBO_CHECK(json.is_object() && json.contains("what") && json["what"].is_string(),
              "{}: not a report of `felbo train`", path.string());
  return json;
}

}  // namespace felbo
