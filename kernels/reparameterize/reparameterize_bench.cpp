// Rates of the reparameterised sample with its KL, and of its backward.
#include "kernels/reparameterize/reparameterize.h"

#include "benchmarks/op_bench.h"
#include "kernels/noise/noise_reference.h"
#include "kernels/reparameterize/reparameterize_reference.h"
#include "kernels/reparameterize/reparameterize_work.h"

namespace felbo {
namespace {

enum class Which { kForward, kForwardDensities, kBackward };

/// What the noise of the problems is made of.
double eps(int b, int s, int d) {
  return reference::normal(1, 0, static_cast<std::uint32_t>(Purpose::kLatent), static_cast<std::uint32_t>(b),
                           static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(d));
}

/// `encoder` holds mu and log_var as the encoder gives them, side by side. T: how z and the gradients are
/// stored.
template <class Exec, class T>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, Which which)
      : exec(exec), which(which), batch(shape[0]), latent(shape[1]), samples(shape[2]) {}

  void operator()() const {
    if (which == Which::kBackward) return backward();
    ReparameterizeArgsOf<T> args{.mu = left(encoder),
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
    reparameterize_backward(exec, ReparameterizeGradArgsOf<T>{.mu = left(encoder),
                                                              .log_var = right(encoder),
                                                              .noise = noise,
                                                              .datum = datum.view(),
                                                              .samples = static_cast<int>(samples),
                                                              .grad_z = z.matrix(batch * samples, latent),
                                                              .grad_mu = left(gradients),
                                                              .grad_log_var = right(gradients)});
  }
  std::function<std::vector<double>()> reference() const {
    return [backward = which == Which::kBackward, B = static_cast<int>(batch), S = static_cast<int>(samples),
            Z = static_cast<int>(latent), mu = bench::doubles(left(encoder)),
            log_var = bench::doubles(right(encoder)), grad_z = bench::doubles(z.view())] {
      if (!backward) return reference::reparameterize(mu, log_var, B, S, Z, -20.0, 20.0, eps).z;
      return reference::reparameterize_gradient(mu, log_var, grad_z, B, S, Z, 1.0, -20.0, 20.0, eps).log_var;
    };
  }
  std::vector<double> result() const {
    return which == Which::kBackward ? bench::doubles(right(gradients)) : bench::doubles(z.view());
  }
  template <class U>
  View<U, 2> left(const Buffer<Exec, U>& pair) const {
    return pair.matrix(batch, 2 * latent).col_slice(0, latent);
  }
  template <class U>
  View<U, 2> right(const Buffer<Exec, U>& pair) const {
    return pair.matrix(batch, 2 * latent).col_slice(latent, latent);
  }

  const Exec& exec;
  Which which;
  std::int64_t batch, latent, samples;
  NoiseStream noise{1, 0, Purpose::kLatent};
  Buffer<Exec, float> encoder = bench::filled<float>(
      exec, batch * 2 * latent, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 199 - 99); });
  Buffer<Exec, T> gradients{exec, which == Which::kBackward ? batch * 2 * latent : 0};
  Buffer<Exec, T> z = bench::filled<T>(
      exec, batch* samples* latent, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 97 - 48); });
  Buffer<Exec, float> kl{exec, batch};
  Buffer<Exec, float> log_pz{exec, batch*samples}, log_qz{exec, batch*samples};
  Buffer<Exec, std::uint32_t> datum =
      bench::filled<std::uint32_t>(exec, batch, [](std::int64_t i) { return i; });
  Buffer<Exec, std::int32_t> clamped{exec, batch};
};

template <class Exec>
using OfFloats = Problem<Exec, float>;
template <class Exec>
using OfBf16 = Problem<Exec, BFloat16>;

// A training batch, a tile of an evaluation with many samples, and out of every cache.
const std::vector<bench::Shape> kUsual{{128, 20, 1}, {128, 20, 50}, {524'288, 32, 1}};
std::function<Work(const bench::Shape&)> work_of_op(Which which, double bytes) {
  return [=](const bench::Shape& s) {
    return which == Which::kBackward
               ? reparameterize_backward_work(s[0], s[1], s[2], bytes)
               : reparameterize_work(s[0], s[1], s[2], which == Which::kForwardDensities, bytes);
  };
}

const bool kAdded = [] {
  const auto add = [](const std::string& name, Which which) {
    bench::add_op<OfFloats>(name, {"B", "Z", "S"}, kUsual, work_of_op(which, 4.0), which);
    bench::add_gpu_op<OfBf16>(name + "_bf16", {"B", "Z", "S"}, kUsual, work_of_op(which, 2.0), which);
  };
  add("reparameterize/forward", Which::kForward);
  add("reparameterize/forward_densities", Which::kForwardDensities);
  add("reparameterize/backward", Which::kBackward);
  return true;
}();

}  // namespace
}  // namespace felbo
