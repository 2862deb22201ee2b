// Rates of the reparameterised sample with its KL, and of its backward.
#include "kernels/reparameterize/reparameterize.h"

#include "benchmarks/op_bench.h"
#include "kernels/reparameterize/reparameterize_work.h"

namespace felbo {
namespace {

enum class Which { kForward, kForwardDensities, kBackward };

/// `encoder` holds mu and log_var as the encoder gives them, side by side.
template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, Which which)
      : exec(exec), which(which), batch(shape[0]), latent(shape[1]), samples(shape[2]) {}

  void operator()() const {
    if (which == Which::kBackward) return backward();
    ReparameterizeArgs args{.mu = left(encoder),
                            .log_var = right(encoder),
                            .noise = noise,
                            .datum = datum.view(),
                            .samples = static_cast<int>(samples),
                            .z = z.matrix(batch * samples, latent),
                            .kl = kl.view(),
                            .clamped = clamped.view()};
    if (which == Which::kForwardDensities) {
      args.log_pz = log_pz.view();
      args.log_qz_given_x = log_qz.view();
    }
    reparameterize(exec, args);
  }
  void backward() const {
    reparameterize_backward(exec, {.mu = left(encoder),
                                   .log_var = right(encoder),
                                   .noise = noise,
                                   .datum = datum.view(),
                                   .samples = static_cast<int>(samples),
                                   .grad_z = z.matrix(batch * samples, latent),
                                   .grad_mu = left(gradients),
                                   .grad_log_var = right(gradients)});
  }
  View<float, 2> left(const Buffer<Exec, float>& pair) const {
    return pair.matrix(batch, 2 * latent).col_slice(0, latent);
  }
  View<float, 2> right(const Buffer<Exec, float>& pair) const {
    return pair.matrix(batch, 2 * latent).col_slice(latent, latent);
  }

  const Exec& exec;
  Which which;
  std::int64_t batch, latent, samples;
  NoiseStream noise{1, 0, Purpose::kLatent};
  Buffer<Exec, float> encoder = bench::filled<float>(
      exec, batch * 2 * latent, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 199 - 99); });
  Buffer<Exec, float> gradients{exec, which == Which::kBackward ? batch * 2 * latent : 0};
  Buffer<Exec, float> z{exec, batch*samples*latent}, kl{exec, batch};
  Buffer<Exec, float> log_pz{exec, batch*samples}, log_qz{exec, batch*samples};
  Buffer<Exec, std::uint32_t> datum =
      bench::filled<std::uint32_t>(exec, batch, [](std::int64_t i) { return i; });
  Buffer<Exec, std::int32_t> clamped{exec, batch};
};

const bool kAdded = [] {
  const auto add = [](const char* name, Which which) {
    // A training batch, a tile of an evaluation with many samples, and out of every cache.
    bench::add_op<Problem>(
        name, {"B", "Z", "S"}, {{128, 20, 1}, {128, 20, 50}, {524'288, 32, 1}},
        [which](const bench::Shape& s) {
          return which == Which::kBackward
                     ? reparameterize_backward_work(s[0], s[1], s[2])
                     : reparameterize_work(s[0], s[1], s[2], which == Which::kForwardDensities);
        },
        which);
  };
  add("reparameterize/forward", Which::kForward);
  add("reparameterize/forward_densities", Which::kForwardDensities);
  add("reparameterize/backward", Which::kBackward);
  return true;
}();

}  // namespace
}  // namespace felbo
