// `felbo report`: runs as one page.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/report/run_page.h"
#include "host/run/atomic_file.h"
#include "host/run/run_folder.h"

namespace felbo {
namespace {

struct ReportFlags {
  std::vector<std::filesystem::path> runs;
  std::filesystem::path out;
  bool json = false;
};

void check_runs(const std::vector<std::filesystem::path>& runs) {
  std::set<std::filesystem::path> seen;
  for (const std::filesystem::path& run : runs)
    FELBO_CHECK(seen.insert(std::filesystem::weakly_canonical(run)).second, "{}: this run is named twice",
                run.string());
}

std::filesystem::path page_of(const ReportFlags& flags) {
  if (!flags.out.empty()) return flags.out;
  FELBO_CHECK(flags.runs.size() == 1, "{} runs: --out FILE.html is missing", flags.runs.size());
  return run_files(flags.runs.front()).report;
}

void run_report(const ReportFlags& flags) {
  check_runs(flags.runs);
  const std::filesystem::path out = page_of(flags);
  FELBO_CHECK(out.extension() == ".html", "--out {}: the name must end in .html", out.string());
  std::vector<report::RunRecord> runs;
  for (const std::filesystem::path& run : flags.runs) runs.push_back(report::read_run(run));
  check_can_write(out);
  const std::string page = report::run_page(std::move(runs), FELBO_VERSION);
  write_file_atomically(out, page);
  if (flags.json)
    return print_json({{"report", out.string()}, {"runs", flags.runs.size()}, {"bytes", page.size()}});
  fmt::print("report in {}\n", out.string());
}

}  // namespace

void add_report_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "report",
      "One page of a run, or of several compared: curves, pictures, latent dimensions, what the figures are");
  auto flags = std::make_shared<ReportFlags>();
  command->add_option("RUN", flags->runs, "Folders of runs; several are compared on the same axes")
      ->required();
  command->add_option("--out", flags->out,
                      "The page, FILE.html; RUN/report.html of a single run if not given");
  command->add_flag("--json", flags->json, "Print one JSON object as the last line of standard output");
  command->callback([flags] { run_report(*flags); });
}

}  // namespace felbo
