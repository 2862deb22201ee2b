// Rates of the draws and densities of stochastic layers above the first.
#include "kernels/conditional_gaussian/conditional_gaussian.h"

#include "benchmarks/op_bench.h"
#include "kernels/conditional_gaussian/conditional_gaussian_reference.h"
#include "kernels/conditional_gaussian/conditional_gaussian_work.h"
#include "kernels/noise/noise_reference.h"

namespace felbo {
namespace {

enum class Which { kDraw, kDrawBackward, kDensity, kDensityBackward };

/// One row of a problem by the reference: of a draw z, of a density log p, of their gradients that by
/// log_var.
std::vector<double> row_reference(Which which, const std::vector<double>& mu,
                                  const std::vector<double>& log_var, const std::vector<double>& z,
                                  std::uint32_t row) {
  constexpr double lo = -20.0, hi = 20.0;
  const auto eps = [&] {
    return bench::each(mu.size(), [&](std::size_t d) {
      return reference::normal(1, 0, static_cast<std::uint32_t>(Purpose::kLatent), row, 0,
                               static_cast<std::uint32_t>(d));
    });
  };
  switch (which) {
    case Which::kDraw:
      return reference::conditional_draw(mu, log_var, eps(), lo, hi).z;
    case Which::kDrawBackward:
      return reference::conditional_draw_gradient(mu, log_var, eps(), z, 1.0, false, lo, hi).log_var;
    case Which::kDensity:
      return {reference::diagonal_gaussian_log_density(z, mu, log_var, lo, hi)};
    case Which::kDensityBackward:
      return reference::conditional_density_gradient(z, mu, log_var, 1.0, lo, hi).log_var;
  }
  return {};
}

/// One sample a datum.
template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, Which which)
      : exec(exec), which(which), rows(shape[0]), latent(shape[1]) {}

  void operator()() const {
    switch (which) {
      case Which::kDraw:
        return conditional_draw(exec, {.mu = of(mu),
                                       .log_var = of(log_var),
                                       .noise = noise,
                                       .datum = datum.view(),
                                       .z = of(z),
                                       .log_q = log_q.view(),
                                       .clamped = clamped.view()});
      case Which::kDrawBackward:
        return conditional_draw_backward(exec, {.mu = of(mu),
                                                .log_var = of(log_var),
                                                .noise = noise,
                                                .datum = datum.view(),
                                                .grad_z = of(z),
                                                .grad_mu = of(grad_mu),
                                                .grad_log_var = of(grad_log_var)});
      case Which::kDensity:
        return conditional_density(exec, {.z = of(z),
                                          .mu = of(mu),
                                          .log_var = of(log_var),
                                          .log_p = log_q.view(),
                                          .clamped = clamped.view()});
      case Which::kDensityBackward:
        return conditional_density_backward(exec, {.z = of(z),
                                                   .mu = of(mu),
                                                   .log_var = of(log_var),
                                                   .grad_z = of(grad_z),
                                                   .grad_mu = of(grad_mu),
                                                   .grad_log_var = of(grad_log_var)});
    }
  }
  std::function<std::vector<double>()> reference() const {
    return [which = which, n = static_cast<std::size_t>(latent), mu = bench::doubles(mu.view()),
            log_var = bench::doubles(log_var.view()), z = bench::doubles(z.view())] {
      std::vector<double> all;
      for (std::size_t at = 0; at < mu.size(); at += n) {
        const auto row = [&](const std::vector<double>& v) {
          return std::vector<double>(&v[at], &v[at] + n);
        };
        const std::vector<double> one =
            row_reference(which, row(mu), row(log_var), row(z), static_cast<std::uint32_t>(at / n));
        all.insert(all.end(), one.begin(), one.end());
      }
      return all;
    };
  }
  std::vector<double> result() const {
    if (which == Which::kDraw) return bench::doubles(z.view());
    return bench::doubles(which == Which::kDensity ? log_q.view() : grad_log_var.view());
  }
  View<float, 2> of(const Buffer<Exec, float>& buffer) const { return buffer.matrix(rows, latent); }
  Buffer<Exec, float> values() const {
    return bench::filled<float>(exec, rows * latent,
                                [](std::int64_t i) { return 0.01f * static_cast<float>(i % 199 - 99); });
  }

  const Exec& exec;
  Which which;
  std::int64_t rows, latent;
  NoiseStream noise{1, 0, Purpose::kLatent};
  Buffer<Exec, float> mu = values(), log_var = values(), z = values();
  Buffer<Exec, float> grad_z{exec, which == Which::kDensityBackward ? rows* latent : 0};
  Buffer<Exec, float> grad_mu{exec, backward() ? rows* latent : 0};
  Buffer<Exec, float> grad_log_var{exec, backward() ? rows* latent : 0};
  Buffer<Exec, float> log_q{exec, rows};
  Buffer<Exec, std::uint32_t> datum =
      bench::filled<std::uint32_t>(exec, rows, [](std::int64_t i) { return i; });
  Buffer<Exec, std::int32_t> clamped{exec, rows};

 private:
  bool backward() const { return which == Which::kDrawBackward || which == Which::kDensityBackward; }
};

template <class Exec>
struct Sum {
  Sum(const Exec& exec, const bench::Shape& shape)
      : exec(exec),
        more(bench::filled<float>(exec, shape[0] * shape[1],
                                  [](std::int64_t i) { return 0.01f * static_cast<float>(i % 199 - 99); })),
        gradient(exec, shape[0] * shape[1]),
        rows(shape[0]),
        latent(shape[1]) {}
  void operator()() const { add_gradient(exec, {more.matrix(rows, latent), gradient.matrix(rows, latent)}); }

  const Exec& exec;
  Buffer<Exec, float> more, gradient;
  std::int64_t rows, latent;
};

Work work_of_op(Which which, const bench::Shape& s) {
  switch (which) {
    case Which::kDraw:
      return conditional_draw_work(s[0], s[1], false);
    case Which::kDrawBackward:
      return conditional_draw_backward_work(s[0], s[1]);
    case Which::kDensity:
      return conditional_density_work(s[0], s[1]);
    case Which::kDensityBackward:
      return conditional_density_backward_work(s[0], s[1]);
  }
  return {};
}

const bool kAdded = [] {
  const auto add = [](const char* name, Which which) {
    // A batch with 50 samples, and out of every cache.
    bench::add_op<Problem>(
        name, {"B", "Z"}, {{6400, 50}, {524'288, 32}},
        [which](const bench::Shape& shape) { return work_of_op(which, shape); }, which);
  };
  add("conditional_gaussian/draw", Which::kDraw);
  add("conditional_gaussian/draw_backward", Which::kDrawBackward);
  add("conditional_gaussian/density", Which::kDensity);
  add("conditional_gaussian/density_backward", Which::kDensityBackward);
  bench::add_op<Sum>("conditional_gaussian/add_gradient", {"B", "Z"}, {{6400, 50}, {524'288, 32}},
                     [](const bench::Shape& s) { return add_gradient_work(s[0], s[1]); });
  return true;
}();

}  // namespace
}  // namespace felbo
