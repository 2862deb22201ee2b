// The order of an epoch and its minibatches, and running counts: integers, every one exact.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/train/shuffle.h"
#include "host/train/shuffle_reference.h"
#include "kernels/counts/counts.h"
#include "kernels/minibatch/minibatch.h"

namespace felbo::checks {

inline StepPlan plan_of(std::int64_t step) {
  const auto x = static_cast<float>(step);
  return {static_cast<std::uint32_t>(step),
          x + 0.5f,
          {x + 1, x + 2, x + 3, x + 4, x + 5, x + 6, x + 7},
          3 * step};
}

inline void judge_plan(Parity& parity, const StepPlan& got, const StepPlan& want) {
  const auto field = [&](std::int64_t j, double a, double b) { parity.element("now", 0, j, a, b, 0.0); };
  field(0, got.step, want.step);
  field(1, got.kl_scale, want.kl_scale);
  field(2, got.adam.rate, want.adam.rate);
  field(3, got.adam.v_scale, want.adam.v_scale);
  field(4, got.adam.beta1, want.adam.beta1);
  field(5, got.adam.rest1, want.adam.rest1);
  field(6, got.adam.beta2, want.adam.beta2);
  field(7, got.adam.rest2, want.adam.rest2);
  field(8, got.adam.epsilon, want.adam.epsilon);
  field(9, static_cast<double>(got.place), static_cast<double>(want.place));
}

/// Walks through an epoch of `data` numbers in batches, its shorter last one included.
template <class Exec>
void check_epoch(const Exec& exec, std::int64_t data, std::int64_t batch, Parity& parity) {
  const std::uint32_t epoch = 3;
  std::vector<StepPlan> steps;
  for (std::int64_t i = 0; i * batch < data; ++i) steps.push_back(plan_of(i));
  const Values want_rows = [&] {
    const auto order = reference::epoch_order(kNoiseSeed, epoch, static_cast<std::uint32_t>(data));
    return Values(order.begin(), order.end());
  }();
  Mirror<Exec, std::uint32_t> order = row_of(exec, epoch_order(kNoiseSeed, epoch, data));
  Mirror<Exec, StepPlan> plan = row_of(exec, steps), now(exec, 1, 1);
  Mirror<Exec, std::int64_t> position = row_of<std::int64_t>(exec, {0});
  for (std::int64_t first = 0, step = 0; first < data; first += batch, ++step) {
    const std::int64_t count = std::min(batch, data - first);
    Mirror<Exec, std::uint32_t> rows(exec, 1, count);
    next_minibatch(exec, {.order = order.vector(),
                          .plan = plan.vector(),
                          .batch = batch,
                          .position = position.vector(),
                          .rows = rows.vector(),
                          .now = now.vector()});
    rows.judge(parity, "rows", {want_rows.begin() + first, want_rows.begin() + first + count}, 0.0);
    position.judge(parity, "position", {static_cast<double>(step + 1)}, 0.0);
    now.receive(parity, "now");
    judge_plan(parity, now.host()(0, 0), plan_of(step));
  }
}

template <class Exec>
void check_minibatches(const Exec& exec, Parity& parity) {
  for (const auto& [data, batch] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {33, 32}, {257, 128}, {785, 785}, {4099, 1025}}) {
    parity.begin_case(fmt::format("N {} B {}", data, batch));
    check_epoch(exec, data, batch, parity);
  }
}

template <class Exec>
void check_counts(const Exec& exec, Parity& parity) {
  for (const std::int64_t n : kWidths) {
    parity.begin_case(fmt::format("R {}", n));
    const std::int64_t first = 2'000'000'000 - n;  // a 32-bit total would overflow
    std::vector<std::int32_t> values;
    for (std::int64_t i = 0; i < n; ++i) values.push_back(static_cast<std::int32_t>(first + i));
    Mirror<Exec, std::int32_t> counts = row_of(exec, values, {0, n % 2});
    Mirror<Exec, std::int64_t> total = row_of<std::int64_t>(exec, {5});
    add_counts(exec, {counts.vector(), total.vector()});
    // The sum of n consecutive integers; a double holds it exactly.
    total.judge(parity, "total", {static_cast<double>(5 + n * (2 * first + n - 1) / 2)}, 0.0);
  }
}

/// Every seventh number is NaN or infinite, the last one too; the others reach to both ends of the range.
template <class Exec>
void check_non_finite(const Exec& exec, Parity& parity) {
  using Limits = std::numeric_limits<float>;
  const float bad[] = {Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()};
  const float good[] = {0.0f, -0.0f, 1.5f, Limits::max(), Limits::lowest(), Limits::denorm_min()};
  for (const std::int64_t n : kWidths) {
    parity.begin_case(fmt::format("P {}", n));
    std::vector<float> numbers;
    double want = 5;
    for (std::int64_t i = 0; i < n; ++i) {
      const bool is_bad = i % 7 == 3 || i == n - 1;
      numbers.push_back(is_bad ? bad[i % 4] : good[i % 6]);
      want += is_bad;
    }
    Mirror<Exec, float> values = row_of(exec, numbers, {0, n % 2});
    Mirror<Exec, std::int64_t> total = row_of<std::int64_t>(exec, {5});
    add_non_finite(exec, {values.vector(), total.vector()});
    total.judge(parity, "total", {want}, 0.0);
  }
}

template <class Exec>
void add_minibatch_checks(std::vector<Check<Exec>>& checks) {
  checks.push_back({"next_minibatch/epochs", check_minibatches<Exec>});
  checks.push_back({"add_counts/totals", check_counts<Exec>});
  checks.push_back({"add_non_finite/totals", check_non_finite<Exec>});
}

}  // namespace felbo::checks
