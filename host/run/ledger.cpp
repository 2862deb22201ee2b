#include "host/run/ledger.h"

#include <dnnl_version.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <stdexcept>

#include "host/run/sha256.h"

namespace felbo {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kPiece = std::size_t{1} << 20;

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

/// The digests of the pieces, one behind the other.
std::string piece_digests(std::span<const std::byte> bytes) {
  const auto pieces = static_cast<std::int64_t>((bytes.size() + kPiece - 1) / kPiece);
  std::vector<std::string> digests(static_cast<std::size_t>(pieces));
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t i = 0; i < pieces; ++i) {
    const auto begin = static_cast<std::size_t>(i) * kPiece;
    digests[static_cast<std::size_t>(i)] =
        sha256(bytes.subspan(begin, std::min(kPiece, bytes.size() - begin)));
  }
  std::string text;
  for (const std::string& digest : digests) text += digest;
  return text;
}

/// What a value of the part is to the model.
std::string scale_of(const DataPart& part) {
  if (!part.is_bytes()) return "value";
  return part.divisor == 1.0f ? "byte" : fmt::format("byte / {}", part.divisor);
}

const char* type_of(const DataPart& part) {
  if (part.is_sparse()) return "sparse float32";
  return part.is_bytes() ? "uint8" : "float32";
}

ordered_json describe_part(const DataPart& part) {
  return {{"rows", part.rows},
          {"columns", part.cols},
          {"type", type_of(part)},
          {"x", scale_of(part)},
          {"sha256", fingerprint(part)}};
}

ordered_json describe_data(const DataSet& data) {
  ordered_json json{{"spec", data.spec}, {"train", describe_part(data.train)}};
  if (data.valid) json["valid"] = describe_part(*data.valid);
  if (data.test) json["test"] = describe_part(*data.test);
  return json;
}

bool is_density(const RunConfig& config) {
  const Observations x = Likelihood{.family = likelihood_family_from_name(config.likelihood)}.observations();
  return x == Observations::kReal || config.likelihood == "continuous-bernoulli";
}

ordered_json parse(const std::string& ledger) {
  ordered_json json = ordered_json::parse(ledger, nullptr, false);
  FELBO_CHECK(json.is_object(), "the checkpoint's ledger is not JSON; restore a copy of the file");
  return json;
}

std::string text_at(const ordered_json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() ? "unknown" : found->is_string() ? found->get<std::string>() : found->dump();
}

std::string dnnl_text() {
  return fmt::format("{}.{}.{}", DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH);
}

/// The processor's own name: another may round products differently. The number of threads changes nothing.
std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

/// What decides bits beside the configuration and the data.
ordered_json describe_machine(const RunMachine& machine) {
  const std::string& device = machine.device;
  ordered_json libraries{{"onednn", dnnl_text()}};
  for (const auto& [name, version] : machine.libraries) libraries[name] = version;
  return {{"device", device.starts_with("cpu") ? "cpu (" + processor() + ")" : device},
          {"felbo", {{"version", FELBO_VERSION}, {"commit", FELBO_COMMIT}, {"compiler", __VERSION__}}},
          {"libraries", libraries}};
}

}  // namespace

std::string fingerprint(const DataPart& part) {
  std::string text = fmt::format("{} {} {} ", part.rows, part.cols, type_of(part));
  if (part.is_sparse()) {
    text += piece_digests(bytes_of(part.sparse->begin)) + " " + piece_digests(bytes_of(part.sparse->column)) +
            " " + piece_digests(bytes_of(part.sparse->value));
  } else {
    text += part.is_bytes() ? piece_digests(bytes_of(part.bytes)) : piece_digests(bytes_of(part.floats));
  }
  return sha256(std::as_bytes(std::span(text)));
}

std::string program_commit() { return FELBO_COMMIT; }

std::string make_ledger(const RunConfig& config, const DataSet& data, const RunMachine& machine) {
  ordered_json json{
      {"units",
       {{"figures", "nats a datum"},
        {"reduction", "summed over dimensions, averaged over data"},
        {"constants", "all included (log 2 pi, factorials, normalisers)"},
        {"elbo", "log p(x|z) - KL(q(z|x) || p(z)), with beta = 1"}}},
      {"likelihood",
       {{"family", config.likelihood},
        {"kind", is_density(config) ? "density of x" : "probability of x"},
        {"x", scale_of(data.train)}}},
      {"binarize", config.binarize},
      {"precision", {{"training", config.precision}, {"held_out", "fp32"}, {"sums", "float64"}}},
      {"seed", config.seed},
      {"data", describe_data(data)}};
  json.update(describe_machine(machine));
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::vector<std::string> data_differences(const std::string& ledger, const RunConfig& config,
                                          const DataSet& data) {
  std::vector<std::string> differences;
  if (ledger.empty()) return differences;
  const ordered_json began = parse(ledger).value("data", ordered_json::object());
  const ordered_json now = describe_data(data);
  for (const char* name : {"train", "valid", "test"}) {
    if (began.contains(name) != now.contains(name)) {
      differences.push_back(fmt::format("the {} part is {}", name, now.contains(name) ? "new" : "missing"));
      continue;
    }
    if (!began.contains(name)) continue;
    const ordered_json &was = began[name], &is = now[name];
    if (text_at(was, "x") != text_at(is, "x") && is_density(config))
      differences.push_back(
          fmt::format("the {} part has another unit: x is {}, it was {}; densities of the two do not compare",
                      name, text_at(is, "x"), text_at(was, "x")));
    if (text_at(was, "sha256") != text_at(is, "sha256"))
      differences.push_back(fmt::format(
          "the {} part holds {} rows with SHA-256 {:.12}..., it held {} with {:.12}...", name,
          text_at(is, "rows"), text_at(is, "sha256"), text_at(was, "rows"), text_at(was, "sha256")));
  }
  return differences;
}

std::vector<std::string> machine_differences(const std::string& ledger, const RunMachine& machine) {
  std::vector<std::string> differences;
  if (ledger.empty()) return differences;
  const auto compare = [&](const ordered_json& was, const ordered_json& is, const char* key) {
    const std::string before = text_at(was, key), at_hand = text_at(is, key);
    if (before != at_hand) differences.push_back(fmt::format("{} is {}, it was {}", key, at_hand, before));
  };
  const ordered_json began = parse(ledger), now = describe_machine(machine);
  for (const char* key : {"device", "felbo"}) compare(began, now, key);
  const ordered_json libraries = began.value("libraries", ordered_json::object());
  for (const auto& [name, version] : now["libraries"].items())
    if (libraries.contains(name)) compare(libraries, now["libraries"], name.c_str());
  return differences;
}

}  // namespace felbo
