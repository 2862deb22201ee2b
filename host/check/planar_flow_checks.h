// Chains of planar flows, forward and backward.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/planar_flow_bound.h"
#include "kernels/planar_flow/planar_flow.h"
#include "kernels/planar_flow/planar_flow_reference.h"

namespace felbo::checks {

struct PlanarCase {
  int batch, samples, latent, steps;
  float scale = 1.0f;  // of u and w, over the root of Z
};

/// Inputs of either direction.
template <class Exec>
struct PlanarProblem {
  PlanarProblem(const Exec& exec, const PlanarCase& c)
      : layout{c.latent % 3, c.latent % 2},
        rows(std::int64_t{c.batch} * c.samples),
        flow(normals(exec, c.batch, planar_flow_columns(c.latent, c.steps), layout, kInputSeed,
                     c.scale / std::sqrt(static_cast<float>(c.latent)))),
        z(normals(exec, rows, c.latent, layout, kInputSeed + 1)) {}
  Layout layout;
  std::int64_t rows;
  Mirror<Exec, float> flow, z;
};

template <class Exec>
void check_planar_flow(const Exec& exec, const PlanarCase& c, Parity& parity) {
  parity.begin_case(fmt::format("B {} S {} Z {} T {}", c.batch, c.samples, c.latent, c.steps));
  PlanarProblem<Exec> p(exec, c);
  auto log_q = normals(exec, 1, p.rows, {}, kInputSeed + 2, 1.0f, -20.0f);
  Mirror<Exec, float> activation(exec, p.rows, c.steps, p.layout);
  const auto want = reference::planar_flow<double>(p.flow.doubles(), p.z.doubles(), log_q.doubles(), c.batch,
                                                   c.samples, c.latent, c.steps);
  const auto tolerance = planar_flow_tolerance(
      p.flow.host(), p.z.host(), View<const float, 1>{log_q.host().data, p.rows}, c.samples, c.steps);
  planar_flow(exec, {.flow = p.flow.matrix(),
                     .samples = c.samples,
                     .z = p.z.matrix(),
                     .log_qz_given_x = log_q.vector(),
                     .activation = activation.matrix()});
  p.z.judge(parity, "z", want.z, tolerance.z);
  log_q.judge(parity, "log_qz_given_x", want.log_q, tolerance.log_q);
  activation.judge(parity, "activation", want.activation, tolerance.activation);
}

/// Weights of the samples are 1, 2, ... over their sum.
template <class Exec>
void check_planar_flow_backward(const Exec& exec, const PlanarCase& c, Parity& parity) {
  parity.begin_case(fmt::format("B {} S {} Z {} T {}", c.batch, c.samples, c.latent, c.steps));
  PlanarProblem<Exec> p(exec, c);
  const float kl_scale = 0.37f;
  auto activation = normals(exec, p.rows, c.steps, p.layout, kInputSeed + 3, 1.5f);
  auto grad_z = normals(exec, p.rows, c.latent, p.layout, kInputSeed + 4);
  Mirror<Exec, float> grad_flow(exec, c.batch, planar_flow_columns(c.latent, c.steps), p.layout);
  std::vector<float> weights;
  Values scale;
  for (std::int64_t r = 0; r < p.rows; ++r) {
    weights.push_back(static_cast<float>(r % c.samples + 1) /
                      (0.5f * static_cast<float>(c.samples * (c.samples + 1))));
    scale.push_back(double{kl_scale} * weights.back());
  }
  Mirror<Exec, float> weight = row_of(exec, weights);
  const auto want =
      reference::planar_flow_gradient<double>(p.flow.doubles(), p.z.doubles(), activation.doubles(),
                                              grad_z.doubles(), scale, c.batch, c.samples, c.latent, c.steps);
  const auto tolerance = planar_flow_grad_tolerance(p.flow.host(), p.z.host(), activation.host(),
                                                    grad_z.host(), scale, c.samples, c.steps);
  planar_flow_backward(exec, {.flow = p.flow.matrix(),
                              .samples = c.samples,
                              .z = p.z.matrix(),
                              .activation = activation.matrix(),
                              .kl_scale = kl_scale,
                              .weight = weight.vector(),
                              .grad_z = grad_z.matrix(),
                              .grad_flow = grad_flow.matrix()});
  p.z.judge(parity, "z", want.z, tolerance.z);
  grad_z.judge(parity, "grad_z", want.grad_z, tolerance.grad_z);
  grad_flow.judge(parity, "grad_flow", want.flow, tolerance.grad_flow);
}

template <class Exec>
void add_planar_flow_checks(std::vector<Check<Exec>>& checks) {
  std::vector<PlanarCase> one, several, small;
  for (const int latent : {1, 20, 33, 65, 257, 2049}) {
    one.push_back({5, 1, latent, 4});
    several.push_back({3, 5, latent, 2});
  }
  for (const float scale : {1e-4f, 0.03f}) small.push_back({9, 2, 20, 4, scale});
  for (const auto& [name, cases] : {std::pair{std::string("one sample"), one},
                                    {"several samples", several},
                                    {"small parameters", small}}) {
    checks.push_back({"planar_flow/" + name, [cases = cases](const Exec& exec, Parity& parity) {
                        for (const PlanarCase& c : cases) check_planar_flow(exec, c, parity);
                      }});
    checks.push_back({"planar_flow_backward/" + name, [cases = cases](const Exec& exec, Parity& parity) {
                        for (const PlanarCase& c : cases) check_planar_flow_backward(exec, c, parity);
                      }});
  }
}

}  // namespace felbo::checks
