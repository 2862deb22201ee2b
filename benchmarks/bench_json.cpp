#include "benchmarks/bench_json.h"

#include <fmt/chrono.h>
#include <sys/resource.h>

#include <ctime>

#include "host/cli/common.h"
#include "host/run/ledger.h"
#include "kernels/common/check.h"

namespace felbo::bench {
namespace {

/// The day, in UTC: "2026-01-31".
std::string today() { return fmt::format("{:%F}", fmt::gmtime(std::time(nullptr))); }

}  // namespace

nlohmann::ordered_json measured_on(const std::string& device) {
  return {{"tool", "felbo"}, {"version", FELBO_VERSION}, {"commit", program_commit()},
          {"date", today()}, {"device", device},         {"machine", cpu_name()}};
}

nlohmann::ordered_json or_null(std::optional<double> value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

double peak_memory_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

void check_output(const char* flag, const std::filesystem::path& path, const char* ending) {
  if (path.empty()) return;
  FELBO_CHECK(path.extension() == ending, "{} {}: the name must end in {}", flag, path.string(), ending);
  check_can_write(path);
}

}  // namespace felbo::bench
