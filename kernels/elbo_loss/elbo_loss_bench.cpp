// Rates of the fused loss with its gradients.
#include "kernels/elbo_loss/elbo_loss.h"

#include <string>
#include <type_traits>

#include "benchmarks/op_bench.h"
#include "kernels/elbo_loss/elbo_loss_reference.h"
#include "kernels/elbo_loss/elbo_loss_work.h"

namespace felbo {
namespace {

constexpr std::int64_t kLatent = 20;

template <class Exec, class Data>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, const Likelihood& which, bool in_place)
      : exec(exec), which(which), in_place(in_place), rows(shape[0]), cols(shape[1]) {}

  void operator()() const {
    ElboLossArgs<Data> args;
    args.x = x.matrix(rows, cols);
    args.divisor = static_cast<float>(kDivisor);
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
    elbo_loss(exec, which, args);
  }
  std::function<std::vector<double>()> reference() const {
    reference::ElboLossInput<double> in{.data = rows,
                                        .dimensions = cols,
                                        .latent = kLatent,
                                        .x = bench::doubles(x.view()),
                                        .output = bench::doubles(output.view()),
                                        .mu = bench::doubles(latents(0)),
                                        .log_var = bench::doubles(latents(1))};
    for (double& value : in.x) value /= static_cast<double>(kDivisor);
    return [which = which, in] { return reference::elbo_loss(which, in).elbo.value; };
  }
  std::vector<double> result() const { return bench::doubles(values.view().slice(2 * rows, rows)); }
  View<float, 2> latents(std::int64_t i) const {
    return View<float, 2>(latent.data() + i * rows * kLatent, rows, kLatent);
  }

  static constexpr std::int64_t kDivisor = std::is_same_v<Data, float> ? 1 : 255;
  const Exec& exec;
  Likelihood which;
  bool in_place;
  std::int64_t rows, cols, wide = cols * which.outputs();
  // Values of all magnitudes on both sides of 0; x a Bernoulli's zeros and ones.
  Buffer<Exec, float> output = bench::filled<float>(
      exec, rows* wide, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 1999 - 999); });
  Buffer<Exec, Data> x =
      bench::filled<Data>(exec, rows* cols, [](std::int64_t i) { return i % 7 < 2 ? kDivisor : 0; });
  Buffer<Exec, float> apart{exec, in_place ? 0 : rows*wide}, latent{exec, 4 * rows*kLatent};
  Buffer<Exec, float> values{exec, 3 * rows};
  Buffer<Exec, std::int32_t> clamped{exec, 2 * rows};
};
template <class Exec>
using OfFloats = Problem<Exec, float>;
template <class Exec>
using OfBytes = Problem<Exec, std::uint8_t>;

template <template <class> class P>
void add(const std::string& label, const char* name, const char* variance, std::int64_t data_bytes) {
  const Likelihood which = likelihood_from_names(name, variance, {});
  for (const bool in_place : {true, false}) {
    // A usual batch; and one of 257 MB of traffic or more.
    bench::add_op<P>(
        "elbo_loss/" + label + (in_place ? "/in_place" : "/apart"), {"B", "X"}, {{128, 784}, {40960, 784}},
        [=](const bench::Shape& s) {
          return elbo_loss_work(which, s[0], s[1], kLatent, 1, data_bytes, true);
        },
        which, in_place);
  }
}

const bool kAdded = [] {
  add<OfFloats>("bernoulli", "bernoulli", "unit", 4);
  add<OfBytes>("bernoulli_bytes", "bernoulli", "unit", 1);
  add<OfFloats>("gaussian_unit", "gaussian", "unit", 4);
  add<OfFloats>("gaussian_per_element", "gaussian", "per-element", 4);
  return true;
}();

}  // namespace
}  // namespace felbo
