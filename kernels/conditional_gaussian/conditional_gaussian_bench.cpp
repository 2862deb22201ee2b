// Rates of the draws and densities of stochastic layers above the first.
#include "kernels/conditional_gaussian/conditional_gaussian.h"

#include "benchmarks/op_bench.h"
#include "kernels/conditional_gaussian/conditional_gaussian_work.h"

namespace felbo {
namespace {

enum class Which { kDraw, kDrawBackward, kDensity, kDensityBackward };

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
  return true;
}();

}  // namespace
}  // namespace felbo
