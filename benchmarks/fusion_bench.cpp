// How much faster fused ops are than a kernel a formula (fusion.h), timed in turn. A row's time, bytes and
// share of the roof are those of the fused ops; its counters compare:
//   unfused_seconds   the same by separate kernels, noise from felbo's own
//   fused_speedup     how many times as long that takes: the median over pairs
//   curand_seconds    with the noise from curandGenerateNormal, where there is cuRAND: it is timed apart from
//   the kernels curand_speedup    behind it, and added
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/bench_exec.h"
#include "benchmarks/curand_normals.h"
#include "benchmarks/fusion.h"
#include "benchmarks/op_bench.h"
#include "benchmarks/timer.h"
#include "kernels/elbo_loss/elbo_loss_work.h"
#include "kernels/likelihood/likelihood_work.h"
#include "kernels/objective/objective_work.h"
#include "kernels/reparameterize/reparameterize_work.h"

namespace felbo::bench {
namespace {

FusionInputs inputs(UnfusedLikelihood which, std::int64_t B, std::int64_t X, std::int64_t Z) {
  const auto values = [](std::int64_t count, const auto& f) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = f(i);
    return values;
  };
  // Values of all magnitudes on both sides of 0; x zeros and ones, which both families take.
  const auto around_0 = [](std::int64_t i) { return 0.01f * static_cast<float>(i % 199 - 99); };
  return {which,
          B,
          X,
          Z,
          values(B * X, [](std::int64_t i) { return i % 7 < 2 ? 1.0f : 0.0f; }),
          values(B * X, around_0),
          values(2 * B * Z, around_0),
          values(B * Z, around_0)};
}

/// Ops that one call enqueues: on a GPU enough, in one graph, that launching it is a small part of their
/// time.
constexpr int kCpuOps = 1, kGpuOps = 50;

/// Seconds of an op, which `f` repeats.
template <class F>
double seconds(const CpuExec& exec, const F& f) {
  return seconds_per_call(exec, f, kCpuOps);
}
/// On a CPU the op itself.
template <class F>
auto repeated(const CpuExec&, const F& f) {
  return f;
}
std::optional<double> curand_seconds(const CpuExec&, View<float, 2>) { return std::nullopt; }

#if FELBO_WITH_CUDA
template <class F>
double seconds(const CudaExec& exec, const F& f) {
  return seconds_per_call(exec, f, 1) / kGpuOps;
}
template <class F>
auto repeated(const CudaExec& exec, const F& f) {
  return [&exec, f, replay = std::make_shared<Replay<CudaExec>>()] {
    (*replay)(exec, [&] {
      for (int i = 0; i < kGpuOps; ++i) f();
    });
  };
}
/// Not recorded: nothing says that cuRAND's generators can be.
std::optional<double> curand_seconds(const CudaExec& exec, View<float, 2> to) {
  const CurandNormals normals(exec);
  bool made = normals.fill(to.data, to.rows * to.cols);
  const double time = seconds(exec, [&] {
    for (int i = 0; made && i < kGpuOps; ++i) made = normals.fill(to.data, to.rows * to.cols);
  });
  return made ? std::optional(time) : std::nullopt;
}
#endif

/// Times the two in turn as often as the benchmark asks for.
template <class Exec, class F, class G>
void compare(const Exec& exec, benchmark::State& state, const F& fused_op, const G& unfused_op) {
  const auto fused = repeated(exec, fused_op), unfused = repeated(exec, unfused_op);
  for (int i = 0; i < 2; ++i) {  // warm, and on a GPU recorded
    fused();
    unfused();
  }
  std::vector<double> unfused_seconds, speedups;
  for (auto _ : state) {
    const double fast = seconds(exec, fused), slow = seconds(exec, unfused);
    state.SetIterationTime(fast);
    unfused_seconds.push_back(slow);
    speedups.push_back(slow / fast);
  }
  state.counters["unfused_seconds"] = median(unfused_seconds);
  state.counters["fused_speedup"] = median(speedups);
}

template <class Exec>
Rotation<Fusion<Exec>>& losses_of(const Exec& exec, const std::string& name, UnfusedLikelihood which,
                                  const Shape& s, const Work& work) {
  return keep<Rotation<Fusion<Exec>>>(fmt::format("{} {}", name, fmt::join(s, " ")), [&] {
    const FusionInputs in = inputs(which, s[0], s[1], s[2]);
    return Rotation<Fusion<Exec>>(exec, work.bytes, [&] { return std::make_unique<Fusion<Exec>>(exec, in); });
  });
}

template <class Exec>
void bench_step(const Exec& exec, benchmark::State& state, Rotation<Fusion<Exec>>& losses) {
  compare(
      exec, state, [&] { losses.next().fused_step(); }, [&] { losses.next().unfused_step(); });
  if (const auto noise = curand_seconds(exec, losses.next().noise())) {
    const auto rest = repeated(exec, [&] { losses.next().unfused_step_on_noise(); }),
               fused = repeated(exec, [&] { losses.next().fused_step(); });
    const PairedTiming timing = time_in_pairs(exec, rest, fused, 15, 0.02);
    const double behind = timing.first / kGpuOps, fast = timing.second / kGpuOps;
    state.counters["curand_seconds"] = *noise + behind;
    state.counters["curand_speedup"] = (*noise + behind) / fast;
  }
}

template <class Exec>
void bench_loss(const Exec& exec, benchmark::State& state, Rotation<Fusion<Exec>>& losses) {
  compare(
      exec, state, [&] { losses.next().fused_loss(); }, [&] { losses.next().unfused_loss(); });
}

/// What the fused ops declare, beside the layers' products.
Work step_work(const Likelihood& which, const Shape& s) {
  return reparameterize_work(s[0], s[2], 1, false) + likelihood_work(which, s[0], s[1], true) +
         elbo_work(s[0], 1) + reparameterize_backward_work(s[0], s[2], 1);
}
Work loss_work(const Likelihood& which, const Shape& s) {
  return elbo_loss_work(which, s[0], s[1], s[2], 1, sizeof(float), true);
}

/// A usual batch; one of 385 MB or more of traffic; and one with as many latent dimensions as others.
void add(const std::string& name, UnfusedLikelihood which, bool step) {
  const Likelihood likelihood =
      likelihood_from_names(which == UnfusedLikelihood::kBernoulli ? "bernoulli" : "gaussian", "unit", {});
  const auto work = [=](const Shape& s) {
    return step ? step_work(likelihood, s) : loss_work(likelihood, s);
  };
  const auto run = [=](benchmark::State& state, const Shape& shape) {
    on_device([&](const auto& exec) {
      const Work needed = work(shape);
      auto& losses = losses_of(exec, name, which, shape, needed);
      step ? bench_step(exec, state, losses) : bench_loss(exec, state, losses);
      declare(state, needed, losses);
    });
  };
  op_benches().push_back(
      {name, {"B", "X", "Z"}, {{128, 784, 20}, {40960, 784, 20}, {20480, 784, 784}}, work, run, true});
}

const bool kRegistered = [] {
  for (const auto& [family, which] : {std::pair("bernoulli", UnfusedLikelihood::kBernoulli),
                                      std::pair("gaussian_unit", UnfusedLikelihood::kGaussianUnit)}) {
    add(std::string("fusion/step_") + family, which, true);
    add(std::string("fusion/elbo_loss_") + family, which, false);
  }
  return true;
}();

}  // namespace
}  // namespace felbo::bench
