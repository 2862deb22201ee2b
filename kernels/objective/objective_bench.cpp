#include "kernels/objective/objective.h"

#include <limits>

#include "benchmarks/op_bench.h"
#include "kernels/objective/objective_work.h"

namespace felbo {
namespace {

template <class Exec>
Buffer<Exec, float> log_probabilities(const Exec& exec, std::int64_t size, float around) {
  return bench::filled<float>(
      exec, size, [=](std::int64_t i) { return around + 0.25f * static_cast<float>(i * 7919 % 101); });
}

template <class Exec>
struct ElboProblem {
  ElboProblem(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        samples(static_cast<int>(shape[1])),
        log_px(log_probabilities(exec, shape[0] * shape[1], -110.0f)),
        kl(log_probabilities(exec, shape[0], 25.0f)),
        out(exec, shape[0]),
        totals(exec, 3) {}
  void operator()() const { elbo(exec, {log_px.view(), kl.view(), samples, out.view(), totals.view()}); }

  const Exec& exec;
  int samples;
  Buffer<Exec, float> log_px, kl, out;
  Buffer<Exec, double> totals;
};

/// The log-densities of all samples.
template <class Exec>
struct Densities {
  Densities(const Exec& exec, const bench::Shape& shape)
      : samples(static_cast<int>(shape[1])),
        log_px(log_probabilities(exec, shape[0] * shape[1], -110.0f)),
        log_pz(log_probabilities(exec, shape[0] * shape[1], -30.0f)),
        log_qz(log_probabilities(exec, shape[0] * shape[1], -10.0f)) {}
  int samples;
  Buffer<Exec, float> log_px, log_pz, log_qz;
};

template <class Exec>
struct LogMeanExpProblem {
  LogMeanExpProblem(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        of(exec, shape),
        max(bench::filled<double>(exec, shape[0],
                                  [](std::int64_t) { return -std::numeric_limits<double>::infinity(); })),
        sum(exec, shape[0]) {}
  void operator()() const {
    log_mean_exp_update(
        exec, {of.log_px.view(), of.log_pz.view(), of.log_qz.view(), of.samples, max.view(), sum.view()});
  }

  const Exec& exec;
  Densities<Exec> of;
  Buffer<Exec, double> max, sum;
};

template <class Exec>
struct WeightsProblem {
  WeightsProblem(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        of(exec, shape),
        weight(exec, shape[0] * shape[1]),
        bound(exec, shape[0]),
        total(exec, 1) {}
  void operator()() const {
    importance_weights(exec, {of.log_px.view(), of.log_pz.view(), of.log_qz.view(), of.samples, weight.view(),
                              bound.view(), total.view()});
  }

  const Exec& exec;
  Densities<Exec> of;
  Buffer<Exec, float> weight, bound;
  Buffer<Exec, double> total;
};

// A training batch, and one of an evaluation; out of every cache.
const std::vector<bench::Shape> kUsual{{128, 1}, {128, 100}, {4096, 6144}};
const bool kAdded =
    bench::add_op<ElboProblem>("objective/elbo", {"B", "S"}, {{128, 1}, {128, 50}},
                               [](const bench::Shape& s) { return elbo_work(s[0], s[1]); }) &&
    bench::add_op<LogMeanExpProblem>("objective/log_mean_exp", {"B", "S"}, kUsual,
                                     [](const bench::Shape& s) { return log_mean_exp_work(s[0], s[1]); }) &&
    bench::add_op<WeightsProblem>("objective/importance_weights", {"B", "S"}, kUsual,
                                  [](const bench::Shape& s) { return importance_weights_work(s[0], s[1]); });

}  // namespace
}  // namespace felbo
