// Rates of what lies below the diagonal of a posterior's factor.
#include "kernels/covariance_factor/covariance_factor.h"

#include "benchmarks/op_bench.h"
#include "kernels/covariance_factor/covariance_factor_reference.h"
#include "kernels/covariance_factor/covariance_factor_work.h"
#include "kernels/noise/noise_reference.h"

namespace felbo {
namespace {

/// What the noise of the problems is made of.
double eps(int b, int s, int d) {
  return reference::normal(1, 0, static_cast<std::uint32_t>(Purpose::kLatent), static_cast<std::uint32_t>(b),
                           static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(d));
}

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, bool backward)
      : exec(exec), backward(backward), batch(shape[0]), latent(shape[1]), samples(shape[2]) {}

  void operator()() const {
    const std::int64_t elements = below_diagonal(latent);
    if (backward) {
      return covariance_factor_backward(exec, {.factor = factor.matrix(batch, elements),
                                               .noise = noise,
                                               .datum = datum.view(),
                                               .samples = static_cast<int>(samples),
                                               .grad_z = z.matrix(batch * samples, latent),
                                               .grad_factor = gradient.matrix(batch, elements)});
    }
    covariance_factor(exec, {.factor = factor.matrix(batch, elements),
                             .noise = noise,
                             .datum = datum.view(),
                             .samples = static_cast<int>(samples),
                             .z = z.matrix(batch * samples, latent),
                             .kl = kl.view()});
  }
  std::function<std::vector<double>()> reference() const {
    return
        [backward = backward, B = static_cast<int>(batch), S = static_cast<int>(samples),
         Z = static_cast<int>(latent), factor = bench::doubles(factor.view()), z = bench::doubles(z.view())] {
          if (backward) return reference::covariance_factor_gradient(factor, z, B, S, Z, 1.0, eps);
          return reference::covariance_factor(factor, z, B, S, Z, eps).z;
        };
  }
  std::vector<double> result() const { return bench::doubles(backward ? gradient.view() : z.view()); }

  const Exec& exec;
  bool backward;
  std::int64_t batch, latent, samples;
  NoiseStream noise{1, 0, Purpose::kLatent};
  Buffer<Exec, float> factor = bench::filled<float>(exec, batch* below_diagonal(latent), [](std::int64_t i) {
    return 0.001f * static_cast<float>(i % 199 - 99);
  });
  Buffer<Exec, float> gradient{exec, backward ? batch* below_diagonal(latent) : 0};
  Buffer<Exec, float> z = bench::filled<float>(
      exec, batch* samples* latent, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 97 - 48); });
  Buffer<Exec, float> kl = bench::filled<float>(exec, batch, [](std::int64_t) { return 0.0f; });
  Buffer<Exec, std::uint32_t> datum =
      bench::filled<std::uint32_t>(exec, batch, [](std::int64_t i) { return i; });
};

const bool kAdded = [] {
  // A training batch, a tile of an evaluation with many samples, a wide latent space, and out of every cache.
  for (const bool backward : {false, true}) {
    bench::add_op<Problem>(
        backward ? "covariance_factor/backward" : "covariance_factor/forward", {"B", "Z", "S"},
        {{128, 20, 1}, {128, 20, 50}, {128, 128, 1}, {65'536, 32, 1}},
        [backward](const bench::Shape& s) {
          return backward ? covariance_factor_backward_work(s[0], s[1], s[2])
                          : covariance_factor_work(s[0], s[1], s[2]);
        },
        backward);
  }
  return true;
}();

}  // namespace
}  // namespace felbo
