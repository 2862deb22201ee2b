// Rates of the fused loss with its gradients. Bytes are those that one pass must move: x read, the decoder's
// output read and its gradient written, so 8 outputs + 4 (floats) or + 1 (bytes) an element of x; mu and
// log_var read and their gradients written, 16 an element of z (numbers a row are left out). In place or
// apart, the count is the same.
#include "kernels/elbo_loss/elbo_loss.h"

#include <string>
#include <type_traits>

#include "benchmarks/bench_exec.h"

namespace felbo {
namespace {

constexpr std::int64_t kLatent = 20;

template <class Data, class Exec>
void bench_elbo_loss(const Exec& exec, benchmark::State& state, const Likelihood& which, bool in_place) {
  const std::int64_t rows = state.range(0), cols = state.range(1), wide = cols * which.outputs();
  const std::int64_t divisor = std::is_same_v<Data, float> ? 1 : 255;
  // Values of all magnitudes on both sides of 0; x a Bernoulli's zeros and ones.
  const auto output = bench::filled<float>(
      exec, rows * wide, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 1999 - 999); });
  const auto x =
      bench::filled<Data>(exec, rows * cols, [=](std::int64_t i) { return i % 7 < 2 ? divisor : 0; });
  const Buffer<Exec, float> apart(exec, in_place ? 0 : rows * wide), latent(exec, 4 * rows * kLatent);
  const Buffer<Exec, float> values(exec, 3 * rows);
  const Buffer<Exec, std::int32_t> clamped(exec, 2 * rows);
  const auto latents = [&](std::int64_t i) {
    return View<float, 2>(latent.data() + i * rows * kLatent, rows, kLatent);
  };
  ElboLossArgs<Data> args;
  args.x = x.matrix(rows, cols);
  args.divisor = static_cast<float>(divisor);
  args.output = output.matrix(rows, wide);
  args.mu = latents(0);
  args.log_var = latents(1);
  args.loss_scale = 1.0f;  // a smaller one, over the output again and again, ends in subnormal numbers
  args.log_px_given_z = values.view().slice(0, rows);
  args.kl = values.view().slice(rows, rows);
  args.elbo = values.view().slice(2 * rows, rows);
  args.clamped = clamped.view().slice(0, rows);
  args.posterior_clamped = clamped.view().slice(rows, rows);
  args.grad_output = in_place ? output.matrix(rows, wide) : apart.matrix(rows, wide);
  args.grad_mu = latents(2);
  args.grad_log_var = latents(3);
  bench::measure(state, exec, [&] { elbo_loss(exec, which, args); });
  const auto element = static_cast<std::int64_t>(sizeof(Data)) + 8 * which.outputs();
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * rows *
                          (element * cols + 16 * kLatent));
}

const bool kRegistered = [] {
  const auto add = [](const std::string& label, const char* name, const char* variance, auto data,
                      bool in_place) {
    const Likelihood which = likelihood_from_names(name, variance, {});
    const auto run = [=](benchmark::State& state) {
      bench::on_device(
          [&](const auto& exec) { bench_elbo_loss<decltype(data)>(exec, state, which, in_place); });
    };
    // A usual batch, in cache; and one of 257 MB of traffic or more, out of it.
    benchmark::RegisterBenchmark(("elbo_loss/" + label + (in_place ? "/in_place" : "/apart")).c_str(), run)
        ->ArgNames({"B", "X"})
        ->Args({128, 784})
        ->Args({40960, 784})
        ->UseRealTime();
  };
  for (const bool in_place : {true, false}) {
    add("bernoulli", "bernoulli", "unit", float{}, in_place);
    add("bernoulli_bytes", "bernoulli", "unit", std::uint8_t{}, in_place);
    add("gaussian_unit", "gaussian", "unit", float{}, in_place);
    add("gaussian_per_element", "gaussian", "per-element", float{}, in_place);
  }
  return true;
}();

}  // namespace
}  // namespace felbo
