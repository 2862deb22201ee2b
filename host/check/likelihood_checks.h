// log p(x|z) of every family and variance, with its gradients.
#pragma once

#include <algorithm>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_reference.h"

namespace felbo::checks {

struct RowsCase {
  std::int64_t data, samples, dimensions;
};

/// x (B, X), of the kind that the family observes, as Data stores it.
template <class Data, class Exec>
Mirror<Exec, Data> observations(const Exec& exec, const Likelihood& which, const RowsCase& c, Layout layout) {
  Mirror<Exec, Data> x(exec, c.data, c.dimensions, layout);
  fill_observations(x.host(), which, kInputSeed);
  x.send();
  return x;
}

/// One call with or without gradients; without them the decoder's output must stay as it is.
template <class Data, class Exec>
void check_likelihood_case(const Exec& exec, const Likelihood& which, const RowsCase& c, bool want_gradient,
                           Parity& parity) {
  parity.begin_case(
      fmt::format("B {} S {} X {}{}", c.data, c.samples, c.dimensions, want_gradient ? "" : ", no gradient"));
  const float grad_scale = -0.37f;
  const std::int64_t rows = c.data * c.samples, X = c.dimensions, owned = which.own_parameters(X);
  const Layout layout{X % 3, X % 2};
  auto x = observations<Data>(exec, which, c, layout);
  auto output =
      normals(exec, rows, which.outputs() * X, {2 * layout.gap, layout.offset}, kInputSeed + 1, 1.5f);
  auto own = normals(exec, 1, owned, {0, layout.offset}, kInputSeed + 2, 0.8f);
  Mirror<Exec, float> log_px(exec, 1, rows), grad_own(exec, 1, owned),
      scratch(exec, 1, likelihood_scratch(which, rows, X));
  Mirror<Exec, std::int32_t> clamped(exec, 1, rows);
  const reference::LikelihoodInput<double> in{
      c.data, c.samples, X, to_x(x.host(), which), output.doubles(), own.doubles(), grad_scale};
  const auto want = reference::likelihood(which, in);
  likelihood(exec, which,
             {.x = x_view(x.matrix(), which),
              .samples = static_cast<int>(c.samples),
              .output = output.matrix(),
              .own = own.vector(),
              .want_gradient = want_gradient,
              .grad_scale = grad_scale,
              .log_px_given_z = log_px.vector(),
              .grad_own = want_gradient ? grad_own.vector() : View<float, 1>(),
              .scratch = scratch.vector(),
              .clamped = clamped.vector()});
  log_px.judge(parity, "log_px_given_z", want.log_px_given_z,
               scaled(want.log_px_scale, log_px_k(which, X), kTiny * static_cast<double>(X)));
  clamped.judge(parity, "clamped", {want.clamped.begin(), want.clamped.end()}, 0.0);
  scratch.receive(parity, "scratch");
  if (!want_gradient) {
    output.judge(parity, "output", in.output, 0.0);
    return;
  }
  output.judge(parity, "gradient of the output", want.grad_output,
               scaled(want.grad_scale, output_gradient_k(which), kTiny));
  grad_own.judge(parity, "grad_own", want.grad_own,
                 scaled(want.grad_own_scale, own_k(which, X), kTiny * static_cast<double>(rows)));
}

template <class Data, class Exec>
void check_likelihood(const Exec& exec, const Likelihood& which, Parity& parity) {
  for (const std::int64_t X : kWidths) {
    check_likelihood_case<Data>(exec, which, {3, 1, X}, true, parity);
    check_likelihood_case<Data>(exec, which, {2, 3, X}, true, parity);
    check_likelihood_case<Data>(exec, which, {2, 2, X}, false, parity);
  }
  check_likelihood_case<Data>(exec, which, {257, 1, 33}, true, parity);
}

/// E[x|z].
template <class Exec>
void check_likelihood_mean(const Exec& exec, const Likelihood& which, Parity& parity) {
  constexpr std::int64_t kRows = 3;
  for (const std::int64_t X : kWidths) {
    parity.begin_case(fmt::format("R {} X {}", kRows, X));
    auto output = normals(exec, kRows, which.outputs() * X, {X % 3, X % 2}, kInputSeed + 1, 1.5f);
    Mirror<Exec, float> mean(exec, kRows, X, {X % 5, X % 2});
    likelihood_mean(exec, which, output.matrix(), mean.matrix());
    const Values want = reference::likelihood_mean(which, kRows, X, output.doubles());
    mean.judge(parity, "mean", want, scaled(want, mean_k(which)));
  }
}

template <class Exec>
void add_likelihood_checks(std::vector<Check<Exec>>& checks) {
  const LogVarClamp clamp{-1.5f, 2.0f};  // the inputs cross both
  const auto add = [&](const std::string& name, const Likelihood& which) {
    checks.push_back({"likelihood/" + name, [which](const Exec& exec, Parity& parity) {
                        check_likelihood<float>(exec, which, parity);
                      }});
    checks.push_back({"likelihood_mean/" + name, [which](const Exec& exec, Parity& parity) {
                        check_likelihood_mean(exec, which, parity);
                      }});
  };
  const auto add_stored = [&](const std::string& name, const Likelihood& which) {
    checks.push_back({fmt::format("likelihood/{}, bytes", name), [which](const Exec& exec, Parity& parity) {
                        check_likelihood<std::uint8_t>(exec, which, parity);
                      }});
    checks.push_back(
        {fmt::format("likelihood/{}, bf16 data", name),
         [which](const Exec& exec, Parity& parity) { check_likelihood<BFloat16>(exec, which, parity); }});
  };
  add("bernoulli", likelihood_from_names("bernoulli", "unit", clamp));
  add_stored("bernoulli", likelihood_from_names("bernoulli", "unit", clamp));
  for (const char* variance : {"learned", "per-dimension", "per-element"})
    add_stored(fmt::format("gaussian, {}", variance), likelihood_from_names("gaussian", variance, clamp));
  add_stored("categorical, 10", likelihood_from_names("categorical", "unit", clamp, 5.0f, 10));
  for (const char* family : {"poisson", "multinomial"})
    add_stored(family, likelihood_from_names(family, "unit", clamp));
  add_stored("laplace, learned", likelihood_from_names("laplace", "learned", clamp));
  for (const char* variance : {"unit", "fixed:0.3", "learned", "per-dimension", "per-element"})
    add(fmt::format("gaussian, {}", variance), likelihood_from_names("gaussian", variance, clamp));
  for (const int categories : {2, 10, 256}) {
    add(fmt::format("categorical, {}", categories),
        likelihood_from_names("categorical", "unit", clamp, 5.0f, categories));
  }
  for (const char* family : {"continuous-bernoulli", "poisson", "multinomial"})
    add(family, likelihood_from_names(family, "unit", clamp));
  for (const char* family : {"laplace", "student-t", "discretized-logistic", "negative-binomial",
                             "zero-inflated-negative-binomial"}) {
    for (const char* variance : {"fixed:0.3", "learned", "per-dimension", "per-element"})
      add(fmt::format("{}, {}", family, variance), likelihood_from_names(family, variance, clamp));
  }
}

}  // namespace felbo::checks
