// The ELBO's terms and the importance-weighted bound.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/objective/objective.h"
#include "kernels/objective/objective_reference.h"

namespace felbo::checks {

template <class Exec>
void check_elbo_case(const Exec& exec, std::int64_t batch, int samples, Parity& parity) {
  parity.begin_case(fmt::format("B {} S {}", batch, samples));
  auto log_px = normals(exec, 1, batch * samples, {0, samples % 3}, kInputSeed, 10.0f, -100.0f);
  auto kl = normals(exec, 1, batch, {0, 1}, kInputSeed + 1, 3.0f, 25.0f);
  Mirror<Exec, float> out(exec, 1, batch, {0, batch % 2});
  Values totals{1000.0, 2000.0, 3000.0};
  Mirror<Exec, double> sums = row_of(exec, totals);
  elbo(exec, {.log_px_given_z = log_px.vector(),
              .kl = kl.vector(),
              .samples = samples,
              .elbo = out.vector(),
              .totals = sums.vector()});
  Values want, tolerance, totals_tolerance;
  for (std::int64_t b = 0; b < batch; ++b) {
    const float* row = log_px.host().row(0) + b * samples;
    const Values terms(row, row + samples);
    want.push_back(reference::elbo<double>(terms, kl.host()(0, b)));
    // Sums in double, then one rounding to float: half of kEps, and room for the double roundings.
    tolerance.push_back(0.51 * kEps * std::abs(want.back()));
    totals[0] += reference::mean(terms);
    totals[1] += kl.host()(0, b);
    totals[2] += want.back();
  }
  // Two orders of S * B additions of values around 1e2, and of the total that they are added to.
  for (const double total : totals)
    totals_tolerance.push_back(kDoubleEps * (200.0 * static_cast<double>(samples + batch) + std::abs(total)));
  out.judge(parity, "elbo", want, tolerance);
  sums.judge(parity, "totals", totals, totals_tolerance);
}

template <class Exec>
void check_elbo(const Exec& exec, Parity& parity) {
  for (const std::int64_t batch : {1, 33, 257, 4099}) check_elbo_case(exec, batch, 1, parity);
  for (const int samples : {2, 33, 257, 785, 4099}) {
    for (const std::int64_t batch : {1, 7}) check_elbo_case(exec, batch, samples, parity);
  }
}

/// Log-weights of some spread around `shift`, their samples in calls of at most `at_once`.
struct WeightCase {
  int samples, at_once;
  float spread, shift;
};

template <class Exec>
void check_log_mean_exp_case(const Exec& exec, const WeightCase& c, Parity& parity) {
  constexpr std::int64_t kBatch = 3;
  parity.begin_case(
      fmt::format("B {} S {} in calls of {}, spread {}", kBatch, c.samples, c.at_once, c.spread));
  std::vector<Values> log_w(kBatch);
  const double infinity = std::numeric_limits<double>::infinity();
  Mirror<Exec, double> max = row_of(exec, Values(kBatch, -infinity)), sum = row_of(exec, Values(kBatch, 0.0));
  int calls = 0;
  for (int begin = 0; begin < c.samples; begin += c.at_once, ++calls) {
    const int count = std::min(c.at_once, c.samples - begin);
    const std::uint64_t seed = kInputSeed + 3 * static_cast<std::uint64_t>(calls);
    auto log_px = normals(exec, 1, kBatch * count, {0, count % 3}, seed, c.spread, c.shift);
    auto log_pz = normals(exec, 1, kBatch * count, {0, 1}, seed + 1, 2.0f, -28.0f);
    auto log_qz = normals(exec, 1, kBatch * count, {0, 2}, seed + 2, 2.0f, -10.0f);
    log_mean_exp_update(exec, {.log_px_given_z = log_px.vector(),
                               .log_pz = log_pz.vector(),
                               .log_qz_given_x = log_qz.vector(),
                               .samples = count,
                               .max = max.vector(),
                               .sum = sum.vector()});
    for (std::int64_t k = 0; k < kBatch * count; ++k) {
      log_w[static_cast<std::size_t>(k / count)].push_back(static_cast<double>(log_px.host()(0, k)) +
                                                           log_pz.host()(0, k) - log_qz.host()(0, k));
    }
  }
  max.receive(parity, "max");
  sum.receive(parity, "sum");
  for (std::int64_t b = 0; b < kBatch; ++b) {
    const Values& terms = log_w[static_cast<std::size_t>(b)];
    const double want = reference::log_mean_exp(terms);
    parity.element("log_mean_exp", 0, b, log_mean_exp_value(max.host()(0, b), sum.host()(0, b), c.samples),
                   want, log_mean_exp_tolerance(c.samples, calls, want));
    // The largest log-weight itself is rounded twice in double.
    parity.element("max", 0, b, max.host()(0, b), *std::max_element(terms.begin(), terms.end()),
                   2 * kDoubleEps * (std::abs(want) + 100.0));
  }
}

template <class Exec>
void check_log_mean_exp(const Exec& exec, Parity& parity) {
  for (const int samples : {1, 33, 257, 785, 4099}) {
    for (const auto& [spread, shift] : {std::pair{1.0f, -80.0f}, {30.0f, -500.0f}, {0.0f, -1e5f}})
      check_log_mean_exp_case(exec, {samples, samples, spread, shift}, parity);
  }
}

template <class Exec>
void check_log_mean_exp_in_calls(const Exec& exec, Parity& parity) {
  for (const int at_once : {1, 33, 100}) check_log_mean_exp_case(exec, {257, at_once, 4.0f, -90.0f}, parity);
  check_log_mean_exp_case(exec, {4099, 512, 30.0f, -500.0f}, parity);
}

template <class Exec>
void check_importance_weights(const Exec& exec, Parity& parity) {
  constexpr std::int64_t kBatch = 5;
  for (const int samples : {1, 2, 33, 257, 1025}) {
    for (const float spread : {0.5f, 5.0f, 30.0f}) {
      parity.begin_case(fmt::format("B {} S {}, spread {}", kBatch, samples, spread));
      const std::int64_t size = kBatch * samples;
      auto log_px = normals(exec, 1, size, {0, samples % 3}, kInputSeed, spread, -90.0f);
      auto log_pz = normals(exec, 1, size, {0, 1}, kInputSeed + 1, 2.0f, -28.0f);
      auto log_qz = normals(exec, 1, size, {0, 2}, kInputSeed + 2, 2.0f, -10.0f);
      Mirror<Exec, float> weight(exec, 1, size, {0, 1}), bound(exec, 1, kBatch);
      Mirror<Exec, double> total = row_of(exec, Values{1000.0});
      importance_weights(exec, {.log_px_given_z = log_px.vector(),
                                .log_pz = log_pz.vector(),
                                .log_qz_given_x = log_qz.vector(),
                                .samples = samples,
                                .weight = weight.vector(),
                                .bound = bound.vector(),
                                .total = total.vector()});
      Values weights, weight_tolerance, bounds, bound_tolerance;
      double sum = 1000.0;
      for (std::int64_t b = 0; b < kBatch; ++b) {
        Values log_w;
        for (std::int64_t k = b * samples; k < (b + 1) * samples; ++k)
          log_w.push_back(static_cast<double>(log_px.host()(0, k)) + log_pz.host()(0, k) -
                          log_qz.host()(0, k));
        const Values shares = reference::normalised_weights(log_w);
        const double largest = *std::ranges::max_element(shares);
        bounds.push_back(reference::log_mean_exp(log_w));
        bound_tolerance.push_back(log_mean_exp_tolerance(samples, 1, bounds.back()) +
                                  0.51 * kEps * std::abs(bounds.back()));
        sum += bounds.back();
        // (2 + d / 2) kEps of a weight at distance d below the largest, and as much of their sum; a weight
        // below e^-87 of the largest counts as 0.
        for (const double share : shares) {
          weights.push_back(share);
          weight_tolerance.push_back(
              kEps * share * (5 + (std::log(largest / share) + std::log(samples)) / 2) + kTiny);
        }
      }
      weight.judge(parity, "weight", weights, weight_tolerance);
      bound.judge(parity, "bound", bounds, bound_tolerance);
      total.judge(parity, "total", {sum}, kBatch * kEps * 500.0);
    }
  }
}

template <class Exec>
void add_objective_checks(std::vector<Check<Exec>>& checks) {
  checks.push_back({"elbo/terms and totals", check_elbo<Exec>});
  checks.push_back({"log_mean_exp/one call", check_log_mean_exp<Exec>});
  checks.push_back({"log_mean_exp/several calls", check_log_mean_exp_in_calls<Exec>});
  checks.push_back({"importance_weights/weights and bound", check_importance_weights<Exec>});
}

}  // namespace felbo::checks
