// What the results of every `felbo bench` begin with.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace felbo::bench {

/// `tool`, `version`, `commit`, `date` (UTC), `device` and `machine`.
nlohmann::ordered_json measured_on(const std::string& device);

nlohmann::ordered_json or_null(std::optional<double> value);

/// MiB: the most memory that this process has had.
double peak_memory_mb();

/// Throws std::invalid_argument unless the file that `flag` names, if any, ends in `ending` and can be
/// written.
void check_output(const char* flag, const std::filesystem::path& path, const char* ending);

}  // namespace felbo::bench
