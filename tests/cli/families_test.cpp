// Every verb on a run of every posterior and prior: it works, or says why it does not.
#include <map>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

struct Family {
  std::string name;
  Words flags;
};

const std::vector<Family>& families() {
  static const std::vector<Family> all{
      {"isotropic", {"--posterior", "isotropic-gaussian"}},
      {"full covariance", {"--posterior", "full-covariance-gaussian"}},
      {"flow", {"--posterior", "planar-flow", "--flow-steps", "2"}},
      {"learned", {"--prior", "diagonal-gaussian"}},
      {"cube", {"--prior", "uniform"}},
      {"mixture", {"--prior", "mixture", "--components", "3"}},
      {"vamp", {"--prior", "vamp", "--components", "3"}},
      {"flow and mixture", {"--posterior", "planar-flow", "--prior", "mixture", "--components", "2"}},
  };
  return all;
}

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(Families, EveryVerbKnowsThem) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", picture_npy(200, 4, 3));
  for (const Family& family : families()) {
    SCOPED_TRACE(family.name);
    const std::string run = folder / family.name;
    felbo_json(joined({"train", "--data", folder / "x.npy", "--binarize", "threshold", "--out", run,
                       "--hidden", "6", "--latent", "3", "--epochs", "1", "--threads", "1"},
                      family.flags));
    const json e = felbo_json({"evaluate", run, "--samples", "30"});
    EXPECT_LT(e.at("elbo").get<double>(), e.at("log_px").get<double>());
    EXPECT_NEAR(e.at("elbo").get<double>(), e.at("log_px_given_z").get<double>() - e.at("kl").get<double>(),
                1e-9);
    for (const Words& verb : {Words{"sample", run, "--count", "4"},
                              {"sample", run, "--count", "4", "--observations"},
                              {"sample", run, "--count", "4", "--from", "posterior"},
                              {"sample", run, "--count", "4", "--from", "aggregate", "--components", "2"},
                              {"reconstruct", run, "--count", "4"},
                              {"interpolate", run, "--count", "2"},
                              {"traverse", run, "--row", "1"},
                              {"denoise", run, "--noise", "mask:0.2"},
                              {"score", run}}) {
      const Outcome outcome = felbo(joined(verb, {"--out", folder / "out.npy"}));
      EXPECT_EQ(outcome.status, 0) << verb[0] << ": " << outcome.err;
      EXPECT_TRUE(std::filesystem::remove(folder / "out.npy")) << verb[0];
    }
    const bool flow = family.name.starts_with("flow"), cube = family.name == "cube";
    EXPECT_EQ(felbo({"encode", run, "--out", folder / "codes.npy"}).status, flow ? 2 : 0);
    EXPECT_EQ(felbo({"evaluate", run, "--count", "3", "--ais", "5", "--chains", "2"}).status, cube ? 2 : 0);
    const Outcome gap = felbo({"gap", run, "--count", "3"});
    EXPECT_EQ(gap.status, 2);
    EXPECT_TRUE(has(gap.err, "felbo gap ")) << gap.err;
  }
}

// Two and three layers: verbs that know them work, the others say that they do not.
TEST(Families, SeveralStochasticLayers) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", picture_npy(200, 4, 3));
  const Words data{"--data", folder / "x.npy", "--binarize", "threshold", "--threads", "1"};
  const auto train = [&](const std::string& name, const Words& model) {
    return felbo_json(joined(
        joined({"train", "--out", folder / name, "--objective", "iwae", "--samples", "3"}, data), model));
  };
  const Words two{"--hidden", "6,5/4", "--latent", "4,2"};
  for (const Words& model : {two, {"--hidden", "6", "--latent", "4,3,2"}}) {
    SCOPED_TRACE(model[3]);
    const std::string run = folder / model[3];
    const json trained = train(model[3], joined({"--epochs", "1", "--track-gap", "1"}, model));
    EXPECT_GT(trained.at("log_px").get<double>(), trained.at("elbo").get<double>());
    const json e = felbo_json({"evaluate", run, "--samples", "30"});
    EXPECT_LT(e.at("elbo").get<double>(), e.at("log_px").get<double>());
    EXPECT_NEAR(e.at("elbo").get<double>(), e.at("log_px_given_z").get<double>() - e.at("kl").get<double>(),
                1e-9);
    EXPECT_TRUE(e.at("latent").at("kl").is_null());
    EXPECT_EQ(e.at("latent").at("variance_of_mean").size(), 4u);
    const Words out{"--out", folder / "out.npy"};
    for (const Words& verb : {Words{"sample", run, "--count", "4"},
                              {"sample", run, "--count", "4", "--observations"},
                              {"sample", run, "--count", "4", "--from", "posterior"},
                              {"reconstruct", run, "--count", "4"},
                              {"encode", run},
                              {"score", run}}) {
      const Outcome outcome = felbo(joined(verb, out));
      EXPECT_EQ(outcome.status, 0) << verb[0] << ": " << outcome.err;
      EXPECT_TRUE(std::filesystem::remove(folder / "out.npy")) << verb[0];
    }
    for (const Words& verb :
         {joined({"sample", run, "--count", "4", "--from", "aggregate", "--components", "2"}, out),
          joined({"interpolate", run, "--count", "2"}, out),
          joined({"traverse", run, "--row", "1"}, out),
          joined({"denoise", run, "--noise", "mask:0.2"}, out),
          {"gap", run, "--count", "3"},
          {"evaluate", run, "--count", "3", "--ais", "5", "--chains", "2"}}) {
      const Outcome outcome = felbo(verb);
      EXPECT_EQ(outcome.status, 2) << verb[0];
      EXPECT_TRUE(has(outcome.err, "runs of one stochastic layer, this one has --latent " + model[3]))
          << outcome.err;
    }
  }
  // A run that went on is the run that did not stop, and one from its config.toml the same.
  train("whole", joined({"--epochs", "2"}, two));
  train("first", joined({"--epochs", "1"}, two));
  felbo_json({"train", "--resume", folder / "first", "--epochs", "2"});
  felbo_json({"train", "--config", folder / "whole/config.toml", "--out", folder / "again"});
  const auto figures = [&](const std::string& name) {
    json e = felbo_json({"evaluate", folder / name, "--samples", "5"});
    e.erase("seconds");
    return e;
  };
  EXPECT_EQ(figures("first"), figures("whole"));
  EXPECT_EQ(figures("again"), figures("whole"));
  for (const auto& [objective, words] : std::map<std::string, std::string>{
           {"elbo", "elbo-mc"}, {"stl", "one stochastic layer"}, {"dreg", "one stochastic layer"}}) {
    const Outcome outcome =
        felbo(joined(joined({"train", "--out", folder / "never", "--objective", objective}, data), two));
    EXPECT_EQ(outcome.status, 2);
    EXPECT_TRUE(has(outcome.err, words)) << outcome.err;
  }
}

}  // namespace
}  // namespace felbo::cli
