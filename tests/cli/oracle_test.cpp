// `felbo oracle`: the gate that every estimator has to pass.
#include <set>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

TEST(OracleCommand, EveryEstimatorAgrees) {
  const json report = felbo_json({"oracle", "--device", "cpu", "--threads", "2"});
  EXPECT_EQ(report.value("device", ""), "cpu (2 threads)");
  EXPECT_EQ(report.value("failed", -1), 0);
  EXPECT_EQ(report.value("standard_errors", 0.0), 6.0);
  EXPECT_EQ(report.value("compared", 0u), report["results"].size());
  std::set<std::string> names;
  for (const json& c : report["results"]) {
    names.insert(c.value("name", ""));
    const double value = c.at("value"), exact = c.at("exact"), allowed = c.at("allowed");
    ASSERT_NEAR(c.at("difference").get<double>(), value - exact, 1e-12);
    // log p(x) of nonlinear models has to be right within 0.05 nat, whatever its standard error.
    ASSERT_GE(allowed, std::min(6 * c.at("standard_error").get<double>(), 0.05));
    const std::string relation = c.value("relation", "");
    ASSERT_TRUE(relation == "=" || relation == "<=" || relation == ">=") << relation;
    ASSERT_TRUE(relation == "<=" || value - exact >= -allowed) << c;
    ASSERT_TRUE(relation == ">=" || value - exact <= allowed) << c;
    EXPECT_EQ(c.value("ok", false), true);
  }
  for (const char* name :
       {"E_q[log p(x|z)]", "KL(q(z|x) || p(z))", "ELBO, KL in closed form", "ELBO, by log-weights (K=1)",
        "log p(x), K=1, worst datum", "log p(x), K=64, worst datum", "log p(x), K=4096", "log p(x), K=5000",
        "annealed, T=500, C=32", "... backwards, from above", "... above - below", "training: ELBO",
        "gradient of encoder.0.weight", "gradient of decoder.0.bias", "gradient of likelihood.log_var"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST(OracleCommand, QuicklyRunsEveryEstimator) {
  const json quick = felbo_json({"oracle", "--device", "cpu", "--quick"});
  EXPECT_EQ(quick.value("failed", -1), 0);
  EXPECT_EQ(quick.value("compared", 0), 104);
  EXPECT_EQ(quick.value("quick", false), true);
  EXPECT_LT(quick.value("seconds", 60.0), 30.0);
}

TEST(OracleCommand, ThreadsDoNotChangeABit) {
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  json one = felbo_json({"oracle", "--device", "cpu", "--threads", "1", "--seed", "5"});
  json two = felbo_json({"oracle", "--device", "cpu", "--threads", "2", "--seed", "5"});
  EXPECT_EQ(one["results"], two["results"]);
}

TEST(OracleCommand, PrintsALineAComparison) {
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  const Outcome outcome = felbo({"oracle", "--device", "cpu"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* words : {"std. errs", "Z=5, per-dimension, other q", " ok\n", " comparisons, 0 failed",
                            "beyond 6 standard errors"})
    EXPECT_TRUE(has(outcome.out, words)) << words;
  EXPECT_FALSE(has(outcome.out, "FAILED"));
}

// The maximum over all linear models of that size lies above the true one, and by less than a nat: 20,000
// rows determine 577 numbers.
TEST(OracleCommand, FindsTheBestLinearModelOfADataSet) {
  const json best = felbo_json({"oracle", "--data", "builtin:linear-gaussian", "--latent", "8"});
  EXPECT_EQ(best.value("count", 0), 20000);
  EXPECT_EQ(best.value("dimensions", 0), 64);
  EXPECT_NEAR(best.at("variance").get<double>(), 0.25, 0.002);  // sigma = 0.5
  EXPECT_NEAR(best.at("log_px").get<double>(), -62.9, 0.5);
  const json less = felbo_json({"oracle", "--data", "builtin:linear-gaussian", "--latent", "7"});
  EXPECT_LT(less.at("log_px").get<double>(), best.at("log_px").get<double>() - 1);
  EXPECT_TRUE(has(felbo({"oracle", "--data", "builtin:linear-gaussian", "--latent", "8"}).out,
                  "20000 training rows of 64 dimensions, 8 latent"));
}

TEST(OracleCommand, RefusesBadRequests) {
  for (const Words& words : {Words{"oracle", "--device", "gpu"},
                             {"oracle", "--seed", "-1"},
                             {"oracle", "x"},
                             {"oracle", "--latent", "3"},
                             {"oracle", "--data", "builtin:linear-gaussian"},
                             {"oracle", "--data", "builtin:linear-gaussian", "--latent", "64"},
                             {"oracle", "--data", "builtin:linear-gaussian", "--latent", "2", "--quick"},
                             {"oracle", "--data", "nowhere", "--latent", "2"}}) {
    const Outcome outcome = felbo(words);
    EXPECT_EQ(outcome.status, 2) << words.back();
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
}

}  // namespace
}  // namespace felbo::cli
