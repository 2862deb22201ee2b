// Rates of the reparameterised sample with its KL, and of its backward. Bytes are those that must move in
// float for a datum of Z dimensions and S samples; the noise is made in registers and moves none.
//   forward   mu and log_var read, S samples written: 4 Z (2 + S), and 8 S for the two log-densities if
//   wanted backward  mu, log_var and S gradients read, two gradients written: 4 Z (4 + S)
#include "kernels/reparameterize/reparameterize.h"

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

/// Memory of either direction: `encoder` holds mu and log_var as the encoder gives them, side by side.
template <class Exec>
struct Problem {
  Problem(const Exec& exec, const benchmark::State& state)
      : exec(exec), batch(state.range(0)), latent(state.range(1)), samples(state.range(2)) {}
  View<float, 2> left(const Buffer<Exec, float>& pair) const {
    return pair.matrix(batch, 2 * latent).col_slice(0, latent);
  }
  View<float, 2> right(const Buffer<Exec, float>& pair) const {
    return pair.matrix(batch, 2 * latent).col_slice(latent, latent);
  }
  /// `of_sample` operations a sample's dimension and `of_datum` a datum's.
  void declare(benchmark::State& state, int of_sample, int of_datum) const {
    bench::declare_flops(state, static_cast<double>(batch * latent * (samples * of_sample + of_datum)));
  }
  void report(benchmark::State& state, std::int64_t bytes_a_datum) const {
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * batch * bytes_a_datum);
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * batch * samples * latent);
  }

  const Exec& exec;
  std::int64_t batch, latent, samples;
  NoiseStream noise{1, 0, Purpose::kLatent};
  Buffer<Exec, float> encoder = bench::filled<float>(
      exec, batch * 2 * latent, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 199 - 99); });
  Buffer<Exec, float> gradients{exec, batch * 2 * latent};
  Buffer<Exec, float> z{exec, batch*samples*latent}, kl{exec, batch};
  Buffer<Exec, float> log_pz{exec, batch*samples}, log_qz{exec, batch*samples};
  Buffer<Exec, std::uint32_t> datum =
      bench::filled<std::uint32_t>(exec, batch, [](std::int64_t i) { return i; });
  Buffer<Exec, std::int32_t> clamped{exec, batch};
};

template <class Exec>
void forward(const Exec& exec, benchmark::State& state, bool densities) {
  const Problem<Exec> p(exec, state);
  ReparameterizeArgs args{.mu = p.left(p.encoder),
                          .log_var = p.right(p.encoder),
                          .noise = p.noise,
                          .datum = p.datum.view(),
                          .samples = static_cast<int>(p.samples),
                          .z = p.z.matrix(p.batch * p.samples, p.latent),
                          .kl = p.kl.view(),
                          .clamped = p.clamped.view()};
  if (densities) {
    args.log_pz = p.log_pz.view();
    args.log_qz_given_x = p.log_qz.view();
  }
  bench::measure(state, exec, [&] { reparameterize(exec, args); });
  // A sample: its normal (5, by Box and Muller), a product, a sum; the two densities a square and a sum each.
  // A datum: sigma (2), and the KL's square, exp, two differences, sum and half.
  p.declare(state, densities ? 11 : 7, 8);
  p.report(state, 4 * p.latent * (2 + p.samples) + (densities ? 8 * p.samples : 0));
}

void sample(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { forward(exec, state, false); });
}
void sample_with_densities(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { forward(exec, state, true); });
}

template <class Exec>
void backward_on(const Exec& exec, benchmark::State& state) {
  const Problem<Exec> p(exec, state);
  const ReparameterizeGradArgs args{.mu = p.left(p.encoder),
                                    .log_var = p.right(p.encoder),
                                    .noise = p.noise,
                                    .datum = p.datum.view(),
                                    .samples = static_cast<int>(p.samples),
                                    .grad_z = p.z.matrix(p.batch * p.samples, p.latent),
                                    .grad_mu = p.left(p.gradients),
                                    .grad_log_var = p.right(p.gradients)};
  bench::measure(state, exec, [&] { reparameterize_backward(exec, args); });
  // A sample: its normal (5), and sums of grad_z and grad_z eps (3). A datum: sigma (2), its product (1), and
  // the KL's gradients: exp, difference, half and two sums.
  p.declare(state, 8, 8);
  p.report(state, 4 * p.latent * (4 + p.samples));
}

void backward(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { backward_on(exec, state); });
}

/// A training batch, a tile of an evaluation with many samples, and out of every cache.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"B", "Z", "S"})
      ->Args({128, 20, 1})
      ->Args({128, 20, 50})
      ->Args({524'288, 32, 1})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(sample)->Name("reparameterize/forward")->Apply(shapes);
BENCHMARK(sample_with_densities)->Name("reparameterize/forward_densities")->Apply(shapes);
BENCHMARK(backward)->Name("reparameterize/backward")->Apply(shapes);

}  // namespace
}  // namespace felbo
