#include <dnnl.h>
#include <fmt/format.h>
#include <omp.h>
#include <png.h>
#include <spdlog/version.h>
#include <zlib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/run/ledger.h"

namespace felbo {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

/// The processor, and the GPUs or why none can be used.
std::vector<std::string> devices() {
  std::vector<std::string> lines{fmt::format("cpu: {}, {} cores", cpu_name(), omp_get_num_procs())};
#if FELBO_WITH_CUDA
  try {
    for (const CudaDevice& d : cuda_devices()) {
      lines.push_back(fmt::format("cuda:{}: {}, compute capability {}.{}, {} multiprocessors, {:.1f} GiB",
                                  d.index, d.name, d.major, d.minor, d.multiprocessors,
                                  static_cast<double>(d.memory) / (1 << 30)));
    }
  } catch (const std::runtime_error& error) {
    lines.push_back(fmt::format("cuda: {}", error.what()));
  }
#endif
  return lines;
}

nlohmann::ordered_json info() {
  const dnnl_version_t* dnnl = dnnl_version();
  return {{"version", FELBO_VERSION},
          {"commit", program_commit()},
          {"machine", cpu_name()},
          {"compiler", compiler()},
          {"arch", FELBO_ARCH_NAME},
          {"cuda", FELBO_CUDA_VERSION},
          {"devices", devices()},
          {"libraries",
           {{"onednn", fmt::format("{}.{}.{}", dnnl->major, dnnl->minor, dnnl->patch)},
            {"fmt", FMT_VERSION},
            {"spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)},
            {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                                          NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
            {"cli11", CLI11_VERSION},
            {"libpng", PNG_LIBPNG_VER_STRING},
            {"zlib", ZLIB_VERSION}}}};
}

}  // namespace

void add_info_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("info", "Version, build options, devices and libraries");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print one JSON object as the last line of standard output");
  command->callback([json] { print_json(info(), *json ? -1 : 2); });
}

}  // namespace felbo
