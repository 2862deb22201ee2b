// Rates of what lies below the diagonal of a posterior's factor. With N = Z (Z - 1) / 2 elements a datum,
// bytes are those that must move for S samples; the noise is made in registers and moves none.
//   forward   the factor read, S samples read and written, KL read and written: 4 (N + 2 S Z + 2)
//   backward  the factor and S gradients read, the factor's gradient written: 4 (2 N + S Z)
#include "kernels/covariance_factor/covariance_factor.h"

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const benchmark::State& state)
      : exec(exec), batch(state.range(0)), latent(state.range(1)), samples(state.range(2)) {}
  /// Operations of an element of the factor below the diagonal: a product and a sum a sample, with its normal
  /// (of which there is one a column), forward and backward; a square and a sum, or a product and a sum, of
  /// the KL.
  void report(benchmark::State& state, std::int64_t bytes_a_datum) const {
    const auto elements = static_cast<double>(batch * below_diagonal(latent)),
               normals = static_cast<double>(batch * samples * latent);
    bench::declare_flops(state, elements * 2.0 * static_cast<double>(samples + 1) + 5.0 * normals);
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * batch * bytes_a_datum);
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * batch * samples *
                            below_diagonal(latent));
  }

  const Exec& exec;
  std::int64_t batch, latent, samples;
  NoiseStream noise{1, 0, Purpose::kLatent};
  Buffer<Exec, float> factor = bench::filled<float>(exec, batch* below_diagonal(latent), [](std::int64_t i) {
    return 0.001f * static_cast<float>(i % 199 - 99);
  });
  Buffer<Exec, float> gradient{exec, batch* below_diagonal(latent)};
  Buffer<Exec, float> z = bench::filled<float>(
      exec, batch* samples* latent, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 97 - 48); });
  Buffer<Exec, float> kl = bench::filled<float>(exec, batch, [](std::int64_t) { return 0.0f; });
  Buffer<Exec, std::uint32_t> datum =
      bench::filled<std::uint32_t>(exec, batch, [](std::int64_t i) { return i; });
};

template <class Exec>
void forward_on(const Exec& exec, benchmark::State& state) {
  const Problem<Exec> p(exec, state);
  const CovarianceFactorArgs args{.factor = p.factor.matrix(p.batch, below_diagonal(p.latent)),
                                  .noise = p.noise,
                                  .datum = p.datum.view(),
                                  .samples = static_cast<int>(p.samples),
                                  .z = p.z.matrix(p.batch * p.samples, p.latent),
                                  .kl = p.kl.view()};
  bench::measure(state, exec, [&] { covariance_factor(exec, args); });
  p.report(state, 4 * (below_diagonal(p.latent) + 2 * p.samples * p.latent + 2));
}

template <class Exec>
void backward_on(const Exec& exec, benchmark::State& state) {
  const Problem<Exec> p(exec, state);
  const CovarianceFactorGradArgs args{.factor = p.factor.matrix(p.batch, below_diagonal(p.latent)),
                                      .noise = p.noise,
                                      .datum = p.datum.view(),
                                      .samples = static_cast<int>(p.samples),
                                      .grad_z = p.z.matrix(p.batch * p.samples, p.latent),
                                      .grad_factor = p.gradient.matrix(p.batch, below_diagonal(p.latent))};
  bench::measure(state, exec, [&] { covariance_factor_backward(exec, args); });
  p.report(state, 4 * (2 * below_diagonal(p.latent) + p.samples * p.latent));
}

void forward(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { forward_on(exec, state); });
}
void backward(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { backward_on(exec, state); });
}

/// A training batch, a tile of an evaluation with many samples, a wide latent space, and out of every cache.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"B", "Z", "S"})
      ->Args({128, 20, 1})
      ->Args({128, 20, 50})
      ->Args({128, 128, 1})
      ->Args({65'536, 32, 1})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(forward)->Name("covariance_factor/forward")->Apply(shapes);
BENCHMARK(backward)->Name("covariance_factor/backward")->Apply(shapes);

}  // namespace
}  // namespace felbo
