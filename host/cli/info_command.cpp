#include <dnnl.h>
#include <fmt/format.h>
#include <omp.h>
#include <png.h>
#include <spdlog/version.h>
#include <zlib.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "host/cli/commands.h"
#include "host/cli/common.h"

namespace felbo {
namespace {

std::string compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

nlohmann::ordered_json info() {
  const dnnl_version_t* dnnl = dnnl_version();
  return {{"version", FELBO_VERSION},
          {"compiler", compiler()},
          {"arch", FELBO_ARCH_NAME},
          {"cuda", "not built"},
          {"devices", {fmt::format("cpu: {} cores", omp_get_num_procs())}},
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
