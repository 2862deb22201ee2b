// The same run on any number of threads gives the same bits.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

struct Model {
  std::string name;
  Words flags;
};

std::ostream& operator<<(std::ostream& out, const Model& model) { return out << model.name; }

class Threads : public ::testing::TestWithParam<Model> {};

json without_clock(json object) {
  for (const char* key : {"seconds", "samples_per_second", "device", "run"}) object.erase(key);
  return object;
}

TEST_P(Threads, DoNotChangeABit) {
  const TempFolder folder;
  // Batches of 100 leave a last one that is smaller, and no number of threads divides it.
  const Words common = Words{"--hidden", "16", "--latent", "3", "--epochs", "2", "--batch", "100"};
  json trained, evaluated;
  for (const std::string threads : {"1", "2", "3"}) {
    const std::string run = folder / ("run" + threads);
    const json train = without_clock(
        felbo_json(Words{"train", "--out", run, "--threads", threads} + common + GetParam().flags));
    const json evaluation =
        without_clock(felbo_json({"evaluate", run, "--samples", "3", "--threads", threads}));
    if (threads == "1") {
      trained = train;
      evaluated = evaluation;
      continue;
    }
    EXPECT_EQ(train, trained);
    EXPECT_EQ(evaluation, evaluated);
    EXPECT_EQ(read_metrics(run), read_metrics(folder / "run1"));
    expect_same_checkpoint(run, folder / "run1");
  }
  EXPECT_EQ(read_metrics(folder / "run1").size(), 2u);
}

TEST(ThreadsControl, AnotherSeedChangesEveryLayer) {
  const TempFolder folder;
  for (const std::string seed : {"0", "1"}) {
    felbo_json({"train", "--data", "builtin:linear-gaussian", "--likelihood", "gaussian", "--hidden", "none",
                "--latent", "3", "--epochs", "1", "--seed", seed, "--out", folder / seed});
  }
  const Checkpoint a = read_checkpoint(folder / "0"), b = read_checkpoint(folder / "1");
  EXPECT_EQ(different_tensors(a, b).size(), a.tensors.size());
}

Words gaussian(const std::string& variance) {
  return {"--data", "builtin:linear-gaussian", "--likelihood", "gaussian", "--variance", variance};
}

INSTANTIATE_TEST_SUITE_P(
    Models, Threads,
    ::testing::Values(Model{"bernoulli", {"--data", "builtin:glyphs", "--binarize", "dynamic"}},
                      Model{"learned", gaussian("learned")},
                      Model{"per_dimension", gaussian("per-dimension")},
                      Model{"per_element", gaussian("per-element")},
                      Model{"three_samples", gaussian("learned") + Words{"--samples", "3"}},
                      Model{"tanh", gaussian("unit") + Words{"--activation", "tanh"}},
                      Model{"gelu", gaussian("fixed:0.5") + Words{"--activation", "gelu", "--beta", "0.5"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace felbo::cli
