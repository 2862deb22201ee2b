// Rates of what stands between one log-variance a datum and the ops of diagonal Gaussians.
#include "kernels/isotropic/isotropic.h"

#include "benchmarks/op_bench.h"
#include "kernels/isotropic/isotropic_work.h"

namespace felbo {
namespace {

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape, bool backward)
      : exec(exec), backward(backward), batch(shape[0]), latent(shape[1]) {}
  void operator()() const {
    if (backward) return sum_log_var_grad(exec, {wide.matrix(batch, latent), one.matrix(batch, 1)});
    repeat_log_var(exec, {one.matrix(batch, 1), wide.matrix(batch, latent)});
  }

  const Exec& exec;
  bool backward;
  std::int64_t batch, latent;
  Buffer<Exec, float> one{exec, batch};
  Buffer<Exec, float> wide = bench::filled<float>(
      exec, batch* latent, [](std::int64_t i) { return 0.01f * static_cast<float>(i % 199 - 99); });
};

// A training batch, and out of every cache.
const std::vector<bench::Shape> kUsual{{128, 20}, {1'048'576, 32}};
const bool kAdded = bench::add_op<Problem>(
                        "isotropic/repeat", {"B", "Z"}, kUsual,
                        [](const bench::Shape& s) { return repeat_log_var_work(s[0], s[1]); }, false) &&
                    bench::add_op<Problem>(
                        "isotropic/sum_gradient", {"B", "Z"}, kUsual,
                        [](const bench::Shape& s) { return sum_log_var_grad_work(s[0], s[1]); }, true);

}  // namespace
}  // namespace felbo
