// The gradient's norm and the verdict on a step.
#pragma once

#include <limits>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "kernels/step_guard/step_guard.h"
#include "kernels/step_guard/step_guard_reference.h"

namespace felbo::checks {

/// One guarded step; `first_nan` is the element of the gradient that is NaN, -1: none.
struct GuardCase {
  std::int64_t size;
  double clip_norm = 0.0;
  std::int64_t first_nan = -1;
};

template <class Exec>
void check_guard(const Exec& exec, const GuardCase& c, Parity& parity) {
  parity.begin_case(fmt::format("P {} c {} NaN at {}", c.size, c.clip_norm, c.first_nan));
  auto gradient = normals(exec, 1, c.size, {0, c.size % 3}, kInputSeed);
  if (c.first_nan >= 0) {
    gradient.host()(0, c.first_nan) = std::numeric_limits<float>::quiet_NaN();
    gradient.send();
  }
  const bool bad = c.first_nan >= 0;
  const double norm = reference::gradient_norm(gradient.doubles());
  auto terms = row_of(exec, Values{-90.0, 20.0, -110.0, -100.0});
  auto clamped = row_of(exec, std::vector<std::int64_t>{3});
  Mirror<Exec, double> partial(exec, 1, step_guard_scratch(c.size));
  const Buffer<Exec, StepGuard> guard(exec, 1);
  guard_step(exec, {.gradient = gradient.vector(),
                    .terms = terms.vector(),
                    .clamped = clamped.vector(),
                    .data = 7,
                    .step = 40u,
                    .clip_norm = c.clip_norm,
                    .on_non_finite = OnNonFinite::kSkip,
                    .partial = partial.vector(),
                    .guard = guard.view()});
  partial.receive(parity, "partial");
  clamped.judge(parity, "clamped", {0.0}, 0.0);
  terms.judge(parity, "terms", Values(4, 0.0), 0.0);
  const StepGuard got = to_host(exec, guard.view())[0];
  const bool clips = !bad && c.clip_norm > 0 && norm > c.clip_norm;
  const auto exactly = [&](const char* what, auto value, double want) {
    parity.element(what, 0, 0, static_cast<double>(value), want, 0.0);
  };
  // P additions of positive terms and a root, in double; the scale is rounded to float.
  const double tolerance = static_cast<double>(c.size + 2) * std::numeric_limits<double>::epsilon() * norm;
  if (!bad) {
    parity.element("norm", 0, 0, got.norm, norm, tolerance);
    parity.element("norm_sum", 0, 0, got.norm_sum, norm, tolerance);
    parity.element("norm_max", 0, 0, got.norm_max, norm, tolerance);
  }
  const double scale = bad ? 0.0 : clips ? c.clip_norm / norm : 1.0;
  parity.element("scale", 0, 0, got.scale, scale, clips ? kEps * scale : 0.0);
  exactly("log_px_given_z", got.log_px_given_z, bad ? 0 : -90);
  exactly("kl", got.kl, bad ? 0 : 20);
  exactly("elbo", got.elbo, bad ? 0 : -110);
  exactly("bound", got.bound, bad ? 0 : -100);
  exactly("steps", got.steps, bad ? 0 : 1);
  exactly("data", got.data, bad ? 0 : 7);
  exactly("clamped", got.clamped, bad ? 0 : 3);
  exactly("clipped_steps", got.clipped_steps, clips);
  exactly("skipped_steps", got.skipped_steps, bad);
  exactly("skipped_data", got.skipped_data, bad ? 7 : 0);
  exactly("first_bad", got.first_bad, bad ? 41 : 0);
}

template <class Exec>
void add_step_guard_checks(std::vector<Check<Exec>>& checks) {
  checks.push_back({"guard_step/norm and clipping", [](const Exec& exec, Parity& parity) {
                      for (const std::int64_t n : kWidths) {
                        for (const double c : {0.0, 0.5, 1e6}) check_guard(exec, {n, c}, parity);
                      }
                      check_guard(exec, {1'100'001}, parity);  // more chunks than a block has threads
                    }});
  checks.push_back({"guard_step/not finite", [](const Exec& exec, Parity& parity) {
                      for (const std::int64_t n : kWidths) {
                        check_guard(exec, {n, 0.0, 0}, parity);
                        check_guard(exec, {n, 0.5, n - 1}, parity);
                      }
                    }});
}

}  // namespace felbo::checks
