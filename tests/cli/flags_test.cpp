// No flag is accepted and ignored: every flag of a training run changes its figures, or is named here with
// what it changes instead.
#include <CLI/CLI.hpp>
#include <set>

#include "host/run/run_options.h"
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

/// A run with and without the flag.
struct FlagCase {
  std::string flag;
  Words base, changed;
};

const Words kBernoulli{"--likelihood", "bernoulli", "--binarize", "threshold"};
const Words kGaussian{"--likelihood", "gaussian"};

std::vector<FlagCase> cases() {
  return {
      {"--data", {}, {"--data", "builtin:linear-gaussian", "--likelihood", "gaussian"}},
      {"--valid-fraction", kBernoulli, {"--valid-fraction", "0.3"}},
      {"--binarize", {"--likelihood", "bernoulli", "--binarize", "dynamic"}, {"--binarize", "threshold"}},
      {"--hidden", kBernoulli, {"--hidden", "6"}},
      {"--latent", kBernoulli, {"--latent", "2"}},
      {"--latent", {"--objective", "iwae", "--binarize", "threshold"}, {"--latent", "3,2"}},
      {"--hidden",
       {"--objective", "iwae", "--binarize", "threshold", "--latent", "3,2"},
       {"--hidden", "5/4"}},
      {"--activation", kBernoulli, {"--activation", "tanh"}},
      {"--likelihood", {}, kGaussian},
      {"--variance", kGaussian, {"--variance", "unit"}},
      {"--degrees-of-freedom", {"--likelihood", "student-t"}, {"--degrees-of-freedom", "2"}},
      {"--posterior", kBernoulli, {"--posterior", "isotropic-gaussian"}},
      {"--posterior", kBernoulli, {"--posterior", "full-covariance-gaussian"}},
      {"--posterior", kBernoulli, {"--posterior", "planar-flow"}},
      {"--flow-steps", {"--posterior", "planar-flow", "--binarize", "threshold"}, {"--flow-steps", "2"}},
      {"--prior", kBernoulli, {"--prior", "diagonal-gaussian"}},
      {"--prior", kBernoulli, {"--prior", "uniform"}},
      {"--prior", kBernoulli, {"--prior", "mixture"}},
      {"--prior", kBernoulli, {"--prior", "vamp"}},
      {"--components", {"--prior", "vamp", "--binarize", "threshold"}, {"--components", "2"}},
      {"--categories", {"--likelihood", "categorical"}, {"--categories", "256"}},
      {"--log-var-clamp", kGaussian, {"--log-var-clamp", "-0.01,0.01"}},
      {"--objective", kBernoulli, {"--objective", "elbo-mc"}},
      {"--samples", kBernoulli, {"--samples", "2"}},
      {"--beta", kBernoulli, {"--beta", "0.5"}},
      {"--beta-schedule", kBernoulli, {"--beta-schedule", "linear:1"}},
      {"--free-bits", kBernoulli, {"--free-bits", "3"}},
      {"--epochs", kBernoulli, {"--epochs", "3"}},
      {"--batch", kBernoulli, {"--batch", "17"}},
      {"--lr", kBernoulli, {"--lr", "2e-3"}},
      {"--lr-schedule", kBernoulli, {"--lr-schedule", "cosine"}},
      {"--warmup-epochs", kBernoulli, {"--warmup-epochs", "1"}},
      {"--adam-beta1", kBernoulli, {"--adam-beta1", "0.5"}},
      {"--adam-beta2", kBernoulli, {"--adam-beta2", "0.9"}},
      {"--adam-epsilon", kBernoulli, {"--adam-epsilon", "1e-2"}},
      {"--clip-norm", kBernoulli, {"--clip-norm", "1e-3"}},
      {"--seed", kBernoulli, {"--seed", "1"}},
  };
}

/// Flags that decide no figure, or that have one value only. Tests of their own: checkpoints (resume_test),
/// threads (threads_test), the tracked gap (gap_test), event files (events_test), steps that are not finite
/// (nonfinite_test), device, the data's place and precision (the emulated program and a GPU's results).
const std::set<std::string> kElsewhere{"--save-every", "--save-steps",   "--keep",      "--track-gap",
                                       "--events",     "--threads",      "--device",    "--precision",
                                       "--data-on",    "--on-nonfinite", "--track-norm"};

/// The figures of a run, without its times.
json figures_of(const Words& words) {
  json object = felbo_json(words);
  for (const char* key : {"seconds", "samples_per_second", "run", "objective", "parameters", "epochs"})
    object.erase(key);
  return object;
}

TEST(Flags, EachChangesTheFigures) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", picture_npy(300, 4, 3));
  const std::string run = folder / "run";
  const Words train{"train", "--out",    run, "--force",   "--json", "--hidden",
                    "5",     "--latent", "3", "--epochs",  "2",      "--batch",
                    "64",    "--seed",   "0", "--threads", "1"};
  const auto with = [&](const Words& base, const Words& changed) {
    // The last of two values of a flag would be an error: a changed one takes the place of the base's.
    Words words = train;
    for (const Words* more : {&base, &changed}) {
      for (std::size_t i = 0; i + 1 < more->size(); i += 2) {
        const auto at = std::find(words.begin(), words.end(), (*more)[i]);
        if (at != words.end()) {
          *(at + 1) = (*more)[i + 1];
        } else {
          words.push_back((*more)[i]), words.push_back((*more)[i + 1]);
        }
      }
    }
    if (std::find(words.begin(), words.end(), "--data") == words.end())
      words.push_back("--data"), words.push_back(folder / "x.npy");
    return words;
  };
  std::set<std::string> walked = kElsewhere;
  for (const FlagCase& c : cases()) {
    EXPECT_NE(figures_of(with(c.base, {})), figures_of(with(c.base, c.changed))) << c.flag;
    walked.insert(c.flag);
  }
  EXPECT_EQ(figures_of(with(kBernoulli, {})), figures_of(with(kBernoulli, {})));  // the comparison is exact

  CLI::App all;
  RunConfig unused;
  all.set_help_flag();
  add_run_options(all, unused);
  for (const CLI::Option* option : all.get_options())
    EXPECT_TRUE(walked.contains(option->get_name())) << option->get_name() << " is walked by no test";
}

}  // namespace
}  // namespace felbo::cli
