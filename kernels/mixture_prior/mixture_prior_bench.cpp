// Rates of a mixture of K Gaussians as the prior, with responsibilities, and of its backward.
#include "kernels/mixture_prior/mixture_prior.h"

#include "benchmarks/op_bench.h"
#include "kernels/mixture_prior/mixture_prior_reference.h"
#include "kernels/mixture_prior/mixture_prior_work.h"

namespace felbo {
namespace {

template <class Exec>
struct Problem {
  Problem(const Exec& exec, const bench::Shape& shape)
      : exec(exec), rows(shape[0]), latent(shape[1]), components(shape[2]) {}

  GaussianMixture mixture() const {
    return {.mu = of_components(mu), .log_var = of_components(log_var), .logit = logit.view()};
  }
  void forward() const {
    mixture_prior(exec, {.mixture = mixture(),
                         .z = z.matrix(rows, latent),
                         .log_pz = log_pz.view(),
                         .responsibility = responsibility.matrix(rows, components),
                         .scratch = scratch.view()});
  }
  View<float, 2> of_components(const Buffer<Exec, float>& buffer) const {
    return buffer.matrix(components, latent);
  }
  Buffer<Exec, float> values(std::int64_t size, std::int64_t period) const {
    return bench::filled<float>(
        exec, size, [=](std::int64_t i) { return 0.02f * static_cast<float>(i % period - period / 2); });
  }

  const Exec& exec;
  std::int64_t rows, latent, components;
  Buffer<Exec, float> mu = values(components * latent, 199), log_var = values(components * latent, 97);
  Buffer<Exec, float> logit = values(components, 31), z = values(rows * latent, 149);
  Buffer<Exec, float> log_pz{exec, rows}, responsibility{exec, rows*components};
  Buffer<Exec, float> scratch{exec, mixture_scratch(components, latent)};
};

template <class Exec>
struct Forward : Problem<Exec> {
  using Problem<Exec>::Problem;
  void operator()() const { this->forward(); }
  std::function<std::vector<double>()> reference() const {
    const reference::Mixture<double> mixture{.mu = bench::doubles(this->mu.view()),
                                             .log_var = bench::doubles(this->log_var.view()),
                                             .logit = bench::doubles(this->logit.view()),
                                             .components = static_cast<std::size_t>(this->components),
                                             .latent = static_cast<std::size_t>(this->latent),
                                             .lo = -20.0,
                                             .hi = 20.0};
    return [mixture, z = bench::doubles(this->z.view())] {
      return bench::each(z.size() / mixture.latent, [&](std::size_t r) {
        return reference::mixture_log_density(mixture, &z[r * mixture.latent]);
      });
    };
  }
  std::vector<double> result() const { return bench::doubles(this->log_pz.view()); }
};

template <class Exec>
struct Backward : Problem<Exec> {
  Backward(const Exec& exec, const bench::Shape& shape) : Problem<Exec>(exec, shape) { this->forward(); }
  void operator()() const {
    mixture_prior_backward(this->exec,
                           {.mixture = this->mixture(),
                            .z = this->z.matrix(this->rows, this->latent),
                            .responsibility = this->responsibility.matrix(this->rows, this->components),
                            .scratch = this->scratch.view(),
                            .grad_z = grad_z.matrix(this->rows, this->latent),
                            .grad_mu = this->of_components(grad_mu),
                            .grad_log_var = this->of_components(grad_log_var),
                            .grad_logit = grad_logit.view()});
  }

  Buffer<Exec, float> grad_z{this->exec, this->rows* this->latent};
  Buffer<Exec, float> grad_mu{this->exec, this->components*this->latent},
      grad_log_var{this->exec, this->components*this->latent}, grad_logit{this->exec, this->components};
};

// A training batch before few components and before the VampPrior's 500, and many rows. Arithmetic bounds
// all.
const std::vector<bench::Shape> kUsual{{128, 20, 10}, {128, 40, 500}, {65'536, 32, 10}};
const bool kAdded =
    bench::add_op<Forward>("mixture_prior/forward", {"B", "Z", "K"}, kUsual,
                           [](const bench::Shape& s) { return mixture_prior_work(s[0], s[1], s[2]); }) &&
    bench::add_op<Backward>("mixture_prior/backward", {"B", "Z", "K"}, kUsual, [](const bench::Shape& s) {
      return mixture_prior_backward_work(s[0], s[1], s[2]);
    });

}  // namespace
}  // namespace felbo
