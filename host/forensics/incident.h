// RUN/nonfinite: all that is needed to take a step again that a training did not take.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "host/forensics/examine_step.h"

namespace felbo {

struct IncidentFiles {
  std::filesystem::path report;  // report.json: which step, what is not finite, and where it came up first
  std::filesystem::path
      checkpoint;               // checkpoint.safetensors: parameters, moments and counters before the step
  std::filesystem::path batch;  // batch.npy: x (B, X) of the step as the likelihood sees it
};
IncidentFiles incident_files(const std::filesystem::path& run);

/// What happened.
struct Incident {
  std::string where;   // in words
  std::string device;  // that computed it
  BadStep bad;
  NextStep next;
  Examination examination;
};

/// As it stands in report.json; keys are explained in docs/guide/json-keys.md.
nlohmann::ordered_json incident_json(const RunConfig& config, int epoch, const Incident& incident);

/// Makes the folder and writes its files, in place of those of an earlier incident; the report comes last.
/// `save` is given the checkpoint's name. Throws as AtomicFile does.
void write_incident(const std::filesystem::path& run, const nlohmann::ordered_json& report,
                    const std::vector<float>& x, std::int64_t rows,
                    const std::function<void(const std::filesystem::path&)>& save);

/// The report of the run's last incident. Throws std::invalid_argument if there is none or it is not JSON.
nlohmann::ordered_json read_incident(const std::filesystem::path& run);

}  // namespace felbo
