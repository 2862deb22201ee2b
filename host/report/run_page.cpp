#include "host/report/run_page.h"

#include <fmt/format.h>

#include "host/report/comparable.h"
#include "host/report/curves.h"
#include "host/report/page.h"
#include "host/report/run_sections.h"
#include "host/report/svg_frame.h"
#include "host/report/text.h"
#include "kernels/common/check.h"

namespace felbo::report {
namespace {

std::string top(const Runs& runs) {
  const RunConfig& c = runs.front().config;
  std::string title = runs.size() == 1 ? runs.front().name : fmt::format("{} runs", runs.size());
  const std::string lead =
      fmt::format("A variational autoencoder on {}, p(x|z) {}{}. All figures are in nats a datum.", c.data,
                  c.likelihood, c.binarize == "none" ? "" : ", binarised (" + c.binarize + ")");
  return fmt::format("<header>\n<h1>{}</h1>\n{}{}</header>\n", escape(title), paragraph(lead, "lead"),
                     runs.size() == 1 ? headline(runs.front()) : "");
}

}  // namespace

std::string run_page(std::vector<RunRecord> runs, const std::string& version) {
  FELBO_CHECK(!runs.empty(), "no run to report");
  FELBO_CHECK(runs.size() <= static_cast<std::size_t>(kMostStyles),
              "{} runs: at most {} can be told apart in one plot; report fewer at a time", runs.size(),
              kMostStyles);
  make_names_unique(runs);
  check_comparable(runs);
  const Curves of_training = curves(runs);
  const std::string title = runs.size() == 1 ? fmt::format("felbo: {}", runs.front().name)
                                             : fmt::format("felbo: {} runs", runs.size());
  return page(
      title,
      top(runs) + section("runs", "The runs beside each other", comparison(runs)) +
          section("curves", "Training", of_training.html) +
          section("evaluation", "Evaluation", evaluations(runs)) +
          section("latent", "What the latent dimensions carry", latent_dimensions(runs)) +
          section("pictures", "Pictures", pictures(runs)) +
          section("ledger", "What the figures are", ledger(runs, of_training.left_out)) +
          section("configuration", "Configuration", configuration(runs)) +
          section("epochs", "Every epoch", epochs_in_full(runs)) +
          fmt::format("<footer>Written by felbo {}. This page loads nothing and needs no script.</footer>\n",
                      escape(version)));
}

}  // namespace felbo::report
