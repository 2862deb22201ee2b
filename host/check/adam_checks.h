// Adam's update.
#pragma once

#include <cmath>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/adam/adam.h"

namespace felbo::checks {

struct AdamCase {
  std::int64_t size;
  float gradient_scale;
  AdamOptions options;
  std::int64_t step;
  bool rounded = false;  // with the copy in bfloat16
};

template <class Exec>
void check_adam(const Exec& exec, const AdamCase& c, Parity& parity) {
  parity.begin_case(fmt::format("P {} step {}", c.size, c.step));
  const Layout layout{0, c.size % 3};
  auto parameter = normals(exec, 1, c.size, layout, kInputSeed);
  auto gradient = normals(exec, 1, c.size, {}, kInputSeed + 1, c.gradient_scale);
  auto m = normals(exec, 1, c.size, layout, kInputSeed + 2, c.gradient_scale);
  auto v = normals(exec, 1, c.size, {0, 1}, kInputSeed + 3, c.gradient_scale);
  for (float* x = v.host().row(0); x != v.host().row(0) + c.size; ++x) *x *= *x;
  v.send();
  Values want[3], tolerance[3];
  for (std::int64_t i = 0; i < c.size; ++i) {
    const AdamBound b = adam_bound({parameter.host()(0, i), m.host()(0, i), v.host()(0, i)},
                                   gradient.host()(0, i), 0.0, c.options, c.step);
    want[0].push_back(b.want.theta), tolerance[0].push_back(b.theta);
    want[1].push_back(b.want.m), tolerance[1].push_back(b.m);
    want[2].push_back(b.want.v), tolerance[2].push_back(b.v);
  }
  Mirror<Exec, BFloat16> rounded(exec, 1, c.size, layout);
  adam(exec, {.parameter = parameter.vector(),
              .gradient = gradient.vector(),
              .m = m.vector(),
              .v = v.vector(),
              .step = adam_step(c.options, c.step),
              .rounded = c.rounded ? rounded.vector() : View<BFloat16, 1>()});
  parameter.judge(parity, "parameter", want[0], tolerance[0]);
  m.judge(parity, "m", want[1], tolerance[1]);
  v.judge(parity, "v", want[2], tolerance[2]);
  if (!c.rounded) return;
  // To nearest: the conversion of kernels/common/bfloat16.h, the same bits everywhere.
  rounded.receive(parity, "rounded");
  for (std::int64_t i = 0; i < c.size; ++i) {
    parity.element("rounded", 0, i, rounded.host()(0, i).bits, BFloat16(parameter.host()(0, i)).bits, 0.0);
  }
}

template <class Exec>
void add_adam_checks(std::vector<Check<Exec>>& checks) {
  const AdamOptions usual, paper{.epsilon = 1e-4f}, odd{.lr = 0.1f, .beta1 = 0.0f, .beta2 = 0.5f};
  checks.push_back({"adam/float", [=](const Exec& exec, Parity& parity) {
                      for (const std::int64_t n : kWidths) {
                        check_adam(exec, {n, 1.0f, usual, 1}, parity);
                        check_adam(exec, {n, 1e-4f, usual, 1000}, parity);
                      }
                      check_adam(exec, {40001, 1.0f, paper, std::int64_t{1} << 40}, parity);
                      check_adam(exec, {1000, 1e-9f, odd, 3}, parity);
                    }});
  checks.push_back({"adam/with a bfloat16 copy", [=](const Exec& exec, Parity& parity) {
                      for (const std::int64_t n : kWidths)
                        check_adam(exec, {n, 1.0f, usual, 2, true}, parity);
                    }});
}

}  // namespace felbo::checks
