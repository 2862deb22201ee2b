#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/check/distant_exec.h"
// Behind the Exec that they are made for.
#include "host/check/all_checks.h"
#include "host/check/check.h"
#include "tests/harness/exec.h"

namespace felbo::checks {
namespace {

template <class Exec>
CheckReport run(const Exec& exec, const std::vector<Check<Exec>>& checks, const std::string& filter = "") {
  return run_checks(exec, checks, filter, [](const CheckResult&) {});
}

using Checks = std::vector<Check<CpuExec>>;

// --- Every check, on ops that are right and on ops that are not

TEST(AllChecks, PassOnThisDevice) {
  const test::ExecHandle exec = test::open_exec(2);
  const CheckReport report = run<test::ExecType>(exec, all_checks<test::ExecType>());
  EXPECT_TRUE(report.ok()) << report.first_failure();
  EXPECT_EQ(report.failed, 0);
  EXPECT_EQ(report.skipped, 0);
  EXPECT_EQ(report.first_failure(), "");
  EXPECT_GT(report.compared, 1'000'000);
  std::set<std::string> names;
  for (const CheckResult& result : report.results) {
    EXPECT_GT(result.cases, 0) << result.name;
    EXPECT_GT(result.compared, 0) << result.name;
    EXPECT_LE(result.worst, 1.0) << result.name;
    EXPECT_TRUE(names.insert(result.name).second) << result.name << " stands twice";
  }
}

// Memory that the host cannot touch: a check that reads a view of it ends the program.
TEST(AllChecks, LeaveTheDevicesMemoryToItsOps) {
  const DistantExec exec;
  const CheckReport report = run(exec, all_checks<DistantExec>());
  EXPECT_TRUE(report.ok()) << report.first_failure();
}

/// An op, the training steps that run it (a regular expression), and another check that rests on it.
struct Planted {
  std::string op;
  std::string steps;
  std::string also;
};

TEST(AllChecks, SeeEachOpThatIsBroken) {
  for (const Planted& planted : {Planted{"normal_fill", "none", ""},
                                 {"next_minibatch", ".*", ""},
                                 {"add_counts", ".*", ""},
                                 {"add_non_finite", "none", ""},
                                 {"gather", ".*", "philox/words in ops"},
                                 {"log_counts", "none", ""},
                                 {"dense", ".*", ""},
                                 {"dense_backward", ".*", ""},
                                 {"reparameterize", ".*", ""},
                                 {"covariance_factor", "none", ""},
                                 {"covariance_factor_backward", "none", ""},
                                 {"conditional_draw", "none", ""},
                                 {"conditional_draw_backward", "none", ""},
                                 {"conditional_density", "none", ""},
                                 {"conditional_density_backward", "none", ""},
                                 {"add_gradient", "none", ""},
                                 {"planar_flow", "none", ""},
                                 {"planar_flow_backward", "none", ""},
                                 {"likelihood", ".*", ""},
                                 {"likelihood_mean", "none", ""},
                                 {"elbo", ".*", ""},
                                 {"elbo_loss", "none", ""},
                                 {"log_mean_exp", "none", ""},
                                 {"importance_weights", "iwae|dreg", ""},
                                 {"free_bits", "none", ""},
                                 {"isotropic", "none", ""},
                                 {"repeat_log_var", "none", "isotropic/log-variances"},
                                 {"gaussian_kl", "none", ""},
                                 {"gaussian_kl_backward", "none", "gaussian_kl/value and gradients"},
                                 {"mixture_prior", "none", ""},
                                 {"mixture_prior_backward", "none", "mixture_prior/value and gradients"},
                                 {"normal_cdf", "none", ""},
                                 {"normal_cdf_backward", "none", "normal_cdf/value and gradient"},
                                 {"sampled_kl", "none", ""},
                                 {"guard_step", ".*", ""},
                                 {"adam", ".*", ""}}) {
    const DistantExec exec(planted.op);
    const std::string also =
        planted.also.empty() ? planted.op : planted.also.substr(0, planted.also.find('/'));
    const CheckReport report =
        run(exec, all_checks<DistantExec>(),
            "^(" + planted.op + "|" + also + "|philox|next_minibatch|add_counts|elbo|training_step)[/ ]");
    std::int64_t seen = 0;
    for (const CheckResult& result : report.results) {
      const bool expected =
          result.name.starts_with(planted.op + "/") || result.name == planted.also ||
          std::regex_match(result.name, std::regex("training_step/(" + planted.steps + ")"));
      seen += expected && !result.ok();
      EXPECT_EQ(result.ok(), !expected)
          << planted.op << " is broken: " << result.name << ", " << result.failure;
    }
    EXPECT_GT(seen, 0) << planted.op;
  }
}

TEST(AllChecks, SeeAWriteOutsideTheResult) {
  const DistantExec exec("reparameterize_backward");
  const CheckReport report = run(exec, all_checks<DistantExec>(), "^reparameterize_backward");
  ASSERT_EQ(report.results.size(), 6u);
  for (const CheckResult& result : report.results) {
    EXPECT_FALSE(result.ok()) << result.name;
    EXPECT_NE(result.failure.find("grad_mu: wrote outside, at offset "), std::string::npos) << result.failure;
  }
}

TEST(AllChecks, SayWhichElementOfWhichCaseIsWrong) {
  const DistantExec counts("add_counts"), samples("reparameterize");
  EXPECT_EQ(run(counts, all_checks<DistantExec>(), "add_counts").first_failure(),
            "add_counts/totals, R 1: total(0, 0): got 2000000005, want 2000000004, error 1, tolerance 0");
  // An element that the op forgot is still the poison that it began as.
  const std::string forgotten = run(samples, all_checks<DistantExec>(), "reparameterize/one").first_failure();
  EXPECT_TRUE(forgotten.starts_with("reparameterize/one sample, B 3 S 1 Z 1: z(2, 0): got ")) << forgotten;
  EXPECT_NE(forgotten.find("nan, want "), std::string::npos) << forgotten;
}

// --- What is made of comparisons

Check<CpuExec> comparing(const std::string& name, double got, double want, double tolerance) {
  return {name, [=](const CpuExec&, Parity& parity) {
            parity.begin_case("X 1");
            parity.element("y", 0, 0, got, want, tolerance);
          }};
}

TEST(RunChecks, AddsUpAndGoesOnAfterAFailure) {
  const Checks checks{comparing("a/good", 1, 1.5, 1), comparing("b/bad", 1, 2, 0.25),
                      comparing("c/exact", 3, 3, 0)};
  const CheckReport report = run(CpuExec(1), checks);
  EXPECT_EQ(report.compared, 3);
  EXPECT_EQ(report.failed, 1);
  EXPECT_FALSE(report.ok());
  ASSERT_EQ(report.results.size(), 3u);
  EXPECT_EQ(report.results[0].worst, 0.5);
  EXPECT_FALSE(report.results[0].exact);
  EXPECT_EQ(report.results[1].worst, 4.0);
  EXPECT_TRUE(report.results[2].exact);
  EXPECT_EQ(report.first_failure(), "b/bad, X 1: y(0, 0): got 1, want 2, error 1, tolerance 0.25");
}

TEST(RunChecks, ANanFails) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const CheckReport report = run(CpuExec(1), {comparing("a/nan", nan, 1, 1e9)});
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(report.results[0].worst, std::numeric_limits<double>::infinity());
}

TEST(RunChecks, NothingComparedIsAFailure) {
  EXPECT_FALSE(run(CpuExec(1), Checks()).ok());
  EXPECT_EQ(run(CpuExec(1), Checks()).first_failure(), "nothing was compared");
  const CheckReport report =
      run(CpuExec(1), {comparing("a/good", 1, 1, 0), {"b/empty", [](const CpuExec&, Parity&) {}}});
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(report.first_failure(), "b/empty, nothing was compared");
  EXPECT_FALSE(report.results[1].exact);
}

TEST(RunChecks, WhatACheckThrowsIsItsFailure) {
  const Check<CpuExec> throwing{"a/throws", [](const CpuExec&, Parity& parity) {
                                  parity.begin_case("X 2");
                                  throw std::runtime_error("the launch failed");
                                }};
  const CheckReport report = run(CpuExec(1), {throwing, comparing("b/good", 1, 1, 0)});
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(report.first_failure(), "a/throws, X 2: the launch failed");
  EXPECT_TRUE(report.results[1].ok());
}

TEST(RunChecks, TellsEachResultAsItComes) {
  std::vector<std::string> names;
  run_checks(CpuExec(1), Checks{comparing("a/good", 1, 1, 0), comparing("b/bad", 1, 2, 0)}, "",
             [&](const CheckResult& result) { names.push_back(result.name); });
  EXPECT_EQ(names, (std::vector<std::string>{"a/good", "b/bad"}));
}

// --- --filter

TEST(RunChecks, FilterIsARegularExpressionOrAPartOfAName) {
  const Checks checks{comparing("adam/float", 1, 1, 0), comparing("dense/relu", 1, 1, 0),
                      comparing("dense_backward/relu", 1, 1, 0)};
  const auto names = [&](const std::string& filter) {
    const CheckReport report = run(CpuExec(1), checks, filter);
    EXPECT_EQ(report.skipped, static_cast<std::int64_t>(3 - report.results.size())) << filter;
    std::string all;
    for (const CheckResult& result : report.results) all += result.name + ";";
    return all;
  };
  EXPECT_EQ(names(""), "adam/float;dense/relu;dense_backward/relu;");
  EXPECT_EQ(names("relu"), "dense/relu;dense_backward/relu;");
  EXPECT_EQ(names("^dense/"), "dense/relu;");
  EXPECT_EQ(names("adam|backward"), "adam/float;dense_backward/relu;");
}

std::string refusal(const std::string& filter) {
  try {
    run(CpuExec(1), {comparing("adam/float", 1, 1, 0)}, filter);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(RunChecks, RefusesFiltersThatAreNoneOrLeaveNothing) {
  EXPECT_EQ(refusal("adam"), "accepted");
  EXPECT_EQ(refusal("sgd"), "--filter 'sgd' matches no check");
  EXPECT_EQ(refusal("(adam"), "--filter '(adam' is not a regular expression");
}

// --- The table

TEST(Table, ShowsWhatWasComparedHowFarOffItWasAndTheVerdict) {
  const CheckReport report =
      run(CpuExec(1), {comparing("a/good", 1, 1.5, 2), comparing("b/exact", 1, 1, 0),
                       comparing("c/bad", 1, 2, 0.25), comparing("d/nan", std::nan(""), 1, 1)});
  const auto words = [](const std::string& line) {
    std::string joined;
    for (const char c : line) {
      if (c != ' ' || (!joined.empty() && joined.back() != ' ')) joined += c;
    }
    return joined;
  };
  EXPECT_EQ(words(table_line(report.results[0])), "a/good 1 1 0.250 ok\n");
  EXPECT_EQ(words(table_line(report.results[1])), "b/exact 1 1 exact ok\n");
  EXPECT_EQ(words(table_line(report.results[2])), "c/bad 1 1 4.000 FAILED (1)\n");
  EXPECT_EQ(words(table_line(report.results[3])), "d/nan 1 1 inf FAILED (1)\n");
  EXPECT_EQ(table_totals(report), "4 checks, 4 elements compared, 2 failed; 0 checks skipped\n");
  EXPECT_EQ(table_head().find("check"), 0u);
}

}  // namespace
}  // namespace felbo::checks
