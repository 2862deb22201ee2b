#include "kernels/objective/objective.h"

#include <cmath>
#include <limits>

#include "benchmarks/op_bench.h"
#include "kernels/objective/objective_reference.h"
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
  std::function<std::vector<double>()> reference() const {
    return [S = static_cast<std::size_t>(samples), log_px = bench::doubles(log_px.view()),
            kl = bench::doubles(kl.view())] {
      return bench::each(kl.size(), [&](std::size_t b) {
        return reference::elbo(std::vector<double>(&log_px[b * S], &log_px[b * S] + S), kl[b]);
      });
    };
  }
  std::vector<double> result() const { return bench::doubles(out.view()); }

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
  /// log w of the samples of each datum.
  std::vector<std::vector<double>> log_weights() const {
    const auto S = static_cast<std::size_t>(samples);
    std::vector<std::vector<double>> all;
    const std::vector<double> px = bench::doubles(log_px.view()), pz = bench::doubles(log_pz.view()),
                              qz = bench::doubles(log_qz.view());
    for (std::size_t at = 0; at < px.size(); at += S)
      all.push_back(bench::each(S, [&](std::size_t s) { return px[at + s] + pz[at + s] - qz[at + s]; }));
    return all;
  }

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
  std::function<std::vector<double>()> reference() const {
    return [log_w = of.log_weights()] {
      return bench::each(log_w.size(), [&](std::size_t b) { return reference::log_mean_exp(log_w[b]); });
    };
  }
  std::vector<double> result() const {
    return bench::each(static_cast<std::size_t>(max.size()), [&](std::size_t i) {
      const auto b = static_cast<std::int64_t>(i);
      return max.view()(b) + std::log(sum.view()(b) / of.samples);
    });
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
  std::function<std::vector<double>()> reference() const {
    return [log_w = of.log_weights()] {
      std::vector<double> all;
      for (const std::vector<double>& of_datum : log_w) {
        const std::vector<double> weights = reference::normalised_weights(of_datum);
        all.insert(all.end(), weights.begin(), weights.end());
      }
      return all;
    };
  }
  std::vector<double> result() const { return bench::doubles(weight.view()); }

  const Exec& exec;
  Densities<Exec> of;
  Buffer<Exec, float> weight, bound;
  Buffer<Exec, double> total;
};

/// The KL by samples.
template <class Exec>
struct SampledKlProblem {
  SampledKlProblem(const Exec& exec, const bench::Shape& shape)
      : exec(exec), of(exec, shape), kl(exec, shape[0]) {}
  void operator()() const { sampled_kl(exec, {of.log_pz.view(), of.log_qz.view(), of.samples, kl.view()}); }
  std::function<std::vector<double>()> reference() const {
    return [S = static_cast<std::size_t>(of.samples), pz = bench::doubles(of.log_pz.view()),
            qz = bench::doubles(of.log_qz.view())] {
      return bench::each(pz.size() / S, [&](std::size_t b) {
        return reference::mean(bench::each(S, [&](std::size_t s) { return qz[b * S + s] - pz[b * S + s]; }));
      });
    };
  }
  std::vector<double> result() const { return bench::doubles(kl.view()); }

  const Exec& exec;
  Densities<Exec> of;
  Buffer<Exec, float> kl;
};

// A training batch, and one of an evaluation; out of every cache.
const std::vector<bench::Shape> kUsual{{128, 1}, {128, 100}, {4096, 6144}};
const bool kAdded =
    bench::add_op<ElboProblem>("objective/elbo", {"B", "S"}, {{128, 1}, {128, 50}},
                               [](const bench::Shape& s) { return elbo_work(s[0], s[1]); }) &&
    bench::add_op<LogMeanExpProblem>("objective/log_mean_exp", {"B", "S"}, kUsual,
                                     [](const bench::Shape& s) { return log_mean_exp_work(s[0], s[1]); }) &&
    bench::add_op<WeightsProblem>(
        "objective/importance_weights", {"B", "S"}, kUsual,
        [](const bench::Shape& s) { return importance_weights_work(s[0], s[1]); }) &&
    bench::add_op<SampledKlProblem>("objective/sampled_kl", {"B", "S"}, kUsual,
                                    [](const bench::Shape& s) { return sampled_kl_work(s[0], s[1]); });

}  // namespace
}  // namespace felbo
