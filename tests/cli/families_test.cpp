// Every verb on a run of every posterior and prior: it works, or says why it does not.
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
    const bool flow = family.name.starts_with("flow"),
               standard =
                   family.flags[0] == "--posterior" && family.name.find("mixture") == std::string::npos;
    EXPECT_EQ(felbo({"encode", run, "--out", folder / "codes.npy"}).status, flow ? 2 : 0);
    EXPECT_EQ(felbo({"evaluate", run, "--count", "3", "--ais", "5", "--chains", "2"}).status,
              standard ? 0 : 2);
    const Outcome gap = felbo({"gap", run, "--count", "3"});
    EXPECT_EQ(gap.status, 2);
    EXPECT_TRUE(has(gap.err, "felbo gap ")) << gap.err;
  }
}

}  // namespace
}  // namespace felbo::cli
