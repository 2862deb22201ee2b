// Rates of the KL of each dimension, averaged over the batch.
#include "kernels/free_bits/free_bits.h"

#include "benchmarks/op_bench.h"
#include "kernels/free_bits/free_bits_reference.h"
#include "kernels/free_bits/free_bits_work.h"

namespace felbo {
namespace {

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape) : exec(exec), batch(shape[0]), latent(shape[1]) {}

  void operator()() const {
    free_bits(exec, {.mu = mu.matrix(batch, latent),
                     .log_var = log_var.matrix(batch, latent),
                     .threshold = 0.1f,
                     .kl = kl.view(),
                     .weight = weight.view()});
  }
  std::function<std::vector<double>()> reference() const {
    return [mu = bench::doubles(mu.view()), log_var = bench::doubles(log_var.view()),
            B = static_cast<int>(batch), Z = static_cast<int>(latent)] {
      return reference::kl_of_dimensions(mu, log_var, B, Z, -20.0, 20.0);
    };
  }
  std::vector<double> result() const { return bench::doubles(kl.view()); }
  Buffer<Exec, float> values(std::int64_t period) const {
    return bench::filled<float>(exec, batch * latent, [=](std::int64_t i) {
      return 0.01f * static_cast<float>(i % period - period / 2);
    });
  }

  const Exec& exec;
  std::int64_t batch, latent;
  Buffer<Exec, float> mu = values(199), log_var = values(97);
  Buffer<Exec, float> kl{exec, latent}, weight{exec, latent};
};

// A training batch, and out of every cache.
const bool kAdded = bench::add_op<Problem>("free_bits/forward", {"B", "Z"}, {{128, 20}, {524'288, 32}},
                                           [](const bench::Shape& s) { return free_bits_work(s[0], s[1]); });

}  // namespace
}  // namespace felbo
