// Rates of a chain of T planar flows. With N = T (2 Z + 1) parameters a datum, bytes are those that must move
// for S samples, if z stays in registers or caches from step to step:
//   forward   the parameters read, z and log q read and written, a_t written: 4 (N + S (2 Z + 2 + T))
//   backward  the parameters and a_t read, their gradients written, z and its gradient read and written: 4 (2
//   N + S (4 Z + T))
#include "kernels/planar_flow/planar_flow.h"

#include "benchmarks/bench_exec.h"
#include "benchmarks/declared.h"

namespace felbo {
namespace {

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const benchmark::State& state)
      : exec(exec),
        batch(state.range(0)),
        latent(state.range(1)),
        samples(state.range(2)),
        steps(state.range(3)) {}
  void report(benchmark::State& state, std::int64_t bytes_a_datum) const {
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * batch * bytes_a_datum);
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * batch * samples * steps * latent);
  }
  void declare(benchmark::State& state, int operations) const {
    bench::declare_flops(state, static_cast<double>(batch * samples * steps * latent * operations));
  }
  static float value(std::int64_t i) { return 0.002f * static_cast<float>(i % 199 - 99); }

  const Exec& exec;
  std::int64_t batch, latent, samples, steps;
  std::int64_t columns = planar_flow_columns(latent, steps), rows = batch * samples;
  Buffer<Exec, float> flow = bench::filled<float>(exec, batch* columns, value);
  Buffer<Exec, float> gradient{exec, batch* columns};
  Buffer<Exec, float> z = bench::filled<float>(exec, rows* latent, value);
  Buffer<Exec, float> grad_z = bench::filled<float>(exec, rows* latent, value);
  Buffer<Exec, float> log_q = bench::filled<float>(exec, rows, value);
  Buffer<Exec, float> activation = bench::filled<float>(exec, rows* steps, value);
};

template <class Exec>
void forward_on(const Exec& exec, benchmark::State& state) {
  const Problem<Exec> p(exec, state);
  const PlanarFlowArgs args{.flow = p.flow.matrix(p.batch, p.columns),
                            .samples = static_cast<int>(p.samples),
                            .z = p.z.matrix(p.rows, p.latent),
                            .log_qz_given_x = p.log_q.view(),
                            .activation = p.activation.matrix(p.rows, p.steps)};
  bench::measure(state, exec, [&] { planar_flow(exec, args); });
  // A step of a sample, each dimension: w.z is 2 operations, u.w 2, z + u h 2.
  p.declare(state, 6);
  p.report(state, 4 * (p.columns + p.samples * (2 * p.latent + 2 + p.steps)));
}

template <class Exec>
void backward_on(const Exec& exec, benchmark::State& state) {
  const Problem<Exec> p(exec, state);
  const PlanarFlowGradArgs args{.flow = p.flow.matrix(p.batch, p.columns),
                                .samples = static_cast<int>(p.samples),
                                .z = p.z.matrix(p.rows, p.latent),
                                .activation = p.activation.matrix(p.rows, p.steps),
                                .grad_z = p.grad_z.matrix(p.rows, p.latent),
                                .grad_flow = p.gradient.matrix(p.batch, p.columns)};
  bench::measure(state, exec, [&] { planar_flow_backward(exec, args); });
  // The same to undo a step (6), then the gradients of u, w and z: 2 sums of products (4) and 2 for each (6).
  p.declare(state, 16);
  p.report(state, 4 * (2 * p.columns + p.samples * (4 * p.latent + p.steps)));
}

void forward(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { forward_on(exec, state); });
}
void backward(benchmark::State& state) {
  bench::on_device([&](const auto& exec) { backward_on(exec, state); });
}

/// A training batch, a tile of an evaluation with many samples, a wide latent space, and out of every cache.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"B", "Z", "S", "T"})
      ->Args({128, 20, 1, 4})
      ->Args({128, 20, 50, 4})
      ->Args({128, 128, 1, 8})
      ->Args({65'536, 32, 1, 4})
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

BENCHMARK(forward)->Name("planar_flow/forward")->Apply(shapes);
BENCHMARK(backward)->Name("planar_flow/backward")->Apply(shapes);

}  // namespace
}  // namespace felbo
