// Rates of the KL to a Gaussian prior whose parameters are learned.
#include "kernels/gaussian_kl/gaussian_kl.h"

#include "benchmarks/op_bench.h"
#include "kernels/gaussian_kl/gaussian_kl_reference.h"
#include "kernels/gaussian_kl/gaussian_kl_work.h"

namespace felbo {
namespace {

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape) : exec(exec), batch(shape[0]), latent(shape[1]) {}

  Buffer<Exec, float> values(std::int64_t size, std::int64_t period) const {
    return bench::filled<float>(
        exec, size, [=](std::int64_t i) { return 0.01f * static_cast<float>(i % period - period / 2); });
  }
  View<float, 2> of(const Buffer<Exec, float>& buffer) const { return buffer.matrix(batch, latent); }

  const Exec& exec;
  std::int64_t batch, latent;
  Buffer<Exec, float> mu = values(batch * latent, 199), log_var = values(batch * latent, 97);
  Buffer<Exec, float> prior_mu = values(latent, 31), prior_log_var = values(latent, 17);
};

template <class Exec>
struct Forward : Problem<Exec> {
  using Problem<Exec>::Problem;
  void operator()() const {
    gaussian_kl(this->exec, {.mu = this->of(this->mu),
                             .log_var = this->of(this->log_var),
                             .prior_mu = this->prior_mu.view(),
                             .prior_log_var = this->prior_log_var.view(),
                             .kl = kl.view()});
  }
  std::function<std::vector<double>()> reference() const {
    return [mu = bench::doubles(this->mu.view()), log_var = bench::doubles(this->log_var.view()),
            m = bench::doubles(this->prior_mu.view()), v = bench::doubles(this->prior_log_var.view())] {
      return reference::gaussian_kl(mu, log_var, m, v, -20.0, 20.0);
    };
  }
  std::vector<double> result() const { return bench::doubles(kl.view()); }

  Buffer<Exec, float> kl{this->exec, this->batch};
};

template <class Exec>
struct Backward : Problem<Exec> {
  using Problem<Exec>::Problem;
  void operator()() const {
    gaussian_kl_backward(this->exec,
                         {.mu = this->of(this->mu),
                          .log_var = this->of(this->log_var),
                          .prior_mu = this->prior_mu.view(),
                          .prior_log_var = this->prior_log_var.view(),
                          .grad_mu = this->of(grad_mu),
                          .grad_log_var = this->of(grad_log_var),
                          .grad_prior_mu = grad_prior.view().slice(0, this->latent),
                          .grad_prior_log_var = grad_prior.view().slice(this->latent, this->latent)});
  }

  Buffer<Exec, float> grad_mu{this->exec, this->batch*this->latent},
      grad_log_var{this->exec, this->batch*this->latent}, grad_prior{this->exec, 2 * this->latent};
};

// A training batch, and out of every cache.
const std::vector<bench::Shape> kUsual{{128, 20}, {524'288, 32}};
const bool kAdded =
    bench::add_op<Forward>("gaussian_kl/forward", {"B", "Z"}, kUsual,
                           [](const bench::Shape& s) { return gaussian_kl_work(s[0], s[1]); }) &&
    bench::add_op<Backward>("gaussian_kl/backward", {"B", "Z"}, kUsual,
                            [](const bench::Shape& s) { return gaussian_kl_backward_work(s[0], s[1]); });

}  // namespace
}  // namespace felbo
