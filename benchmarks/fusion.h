// The same loss, with the same numbers, by felbo's fused ops and by separate kernels.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "benchmarks/unfused.h"
#include "host/exec/buffer.h"
#include "kernels/elbo_loss/elbo_loss.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/noise/noise.h"
#include "kernels/objective/objective.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo::bench {

/// Numbers of one loss on B data of X dimensions, Z latent ones and one sample. The decoder is left out: its
/// output and the gradient that it passes back are given.
struct FusionInputs {
  UnfusedLikelihood which = UnfusedLikelihood::kBernoulli;
  std::int64_t batch = 0, dimensions = 0, latent = 0;
  std::vector<float> x, output;  // (B, X)
  std::vector<float> posterior;  // (B, 2 Z): mu and log_var side by side, as an encoder gives them
  std::vector<float> grad_z;     // (B, Z)
};

/// Each of the four below leaves the gradient in place of the decoder's output.
template <class Exec>
class Fusion {
 public:
  Fusion(const Exec& exec, const FusionInputs& inputs)
      : exec_(exec),
        which_(inputs.which),
        B_(inputs.batch),
        X_(inputs.dimensions),
        Z_(inputs.latent),
        x_(exec, B_ * X_),
        output_(exec, B_ * X_),
        posterior_(exec, 2 * B_ * Z_),
        grad_z_(exec, B_ * Z_),
        datum_(exec, B_),
        eps_(exec, B_ * Z_),
        z_(exec, B_ * Z_),
        log_px_given_z_(exec, B_),
        kl_(exec, B_),
        elbo_(exec, B_),
        gradient_(exec, 2 * B_ * Z_),
        totals_(exec, 3),
        clamped_(exec, 2 * B_) {
    upload(exec, inputs.x, x_.view());
    upload(exec, inputs.output, output_.view());
    upload(exec, inputs.posterior, posterior_.view());
    upload(exec, inputs.grad_z, grad_z_.view());
    std::vector<std::uint32_t> datum(static_cast<std::size_t>(B_));
    std::iota(datum.begin(), datum.end(), 0u);
    upload(exec, datum, datum_.view());
  }

  /// What a training step does beside its networks: noise in registers, KL with the sample, the likelihood's
  /// gradient with its value.
  void fused_step() const {
    reparameterize(exec_, {.mu = mu(),
                           .log_var = log_var(),
                           .noise = noise_,
                           .datum = datum_.view(),
                           .z = z_.matrix(B_, Z_),
                           .kl = kl_.view(),
                           .clamped = clamped_.vector(B_)});
    likelihood(exec_, family(), likelihood_args(true));
    add_up();
    reparameterize_backward(exec_, {.mu = mu(),
                                    .log_var = log_var(),
                                    .noise = noise_,
                                    .datum = datum_.view(),
                                    .grad_z = grad_z_.matrix(B_, Z_),
                                    .grad_mu = left(gradient_),
                                    .grad_log_var = right(gradient_)});
  }
  /// The same by kernels of their own.
  void unfused_step() const {
    make_noise();
    unfused_step_on_noise();
  }
  /// Normals to memory by felbo's own kernel.
  void make_noise() const { normal_fill(exec_, {.stream = noise_, .out = eps_.matrix(B_, Z_)}); }
  /// unfused_step() behind the noise, which may also come from elsewhere.
  void unfused_step_on_noise() const {
    unfused_sample(exec_, args());
    unfused_kl(exec_, args());
    likelihood(exec_, family(), likelihood_args(false));
    add_up();
    unfused_likelihood_gradient(exec_, which_, args());
    unfused_kl_gradient(exec_, args());
    unfused_sample_gradient(exec_, args());
  }

  /// The loss behind other people's networks, without the sample: elbo_loss().
  void fused_loss() const {
    ElboLossArgs<float> a;
    a.x = x_.matrix(B_, X_);
    a.output = output_.matrix(B_, X_);
    a.mu = mu();
    a.log_var = log_var();
    a.log_px_given_z = log_px_given_z_.view();
    a.kl = kl_.view();
    a.elbo = elbo_.view();
    a.clamped = clamped_.vector(B_);
    a.posterior_clamped = clamped_.view().slice(B_, B_);
    a.grad_output = output_.matrix(B_, X_);
    a.grad_mu = left(gradient_);
    a.grad_log_var = right(gradient_);
    elbo_loss(exec_, family(), a);
  }
  void unfused_loss() const {
    unfused_kl(exec_, args());
    likelihood(exec_, family(), likelihood_args(false));
    add_up();
    unfused_likelihood_gradient(exec_, which_, args());
    unfused_kl_gradient(exec_, args());
  }

  View<float, 2> output() const { return output_.matrix(B_, X_); }
  View<float, 2> z() const { return z_.matrix(B_, Z_); }
  View<float, 2> noise() const { return eps_.matrix(B_, Z_); }
  View<float, 2> gradient() const { return gradient_.matrix(B_, 2 * Z_); }  // by mu and log_var, side by side
  View<float, 1> log_px_given_z() const { return log_px_given_z_.view(); }
  View<float, 1> kl() const { return kl_.view(); }
  View<float, 1> elbo_of_datum() const { return elbo_.view(); }

 private:
  View<float, 2> left(const Buffer<Exec, float>& pair) const {
    return pair.matrix(B_, 2 * Z_).col_slice(0, Z_);
  }
  View<float, 2> right(const Buffer<Exec, float>& pair) const {
    return pair.matrix(B_, 2 * Z_).col_slice(Z_, Z_);
  }
  View<float, 2> mu() const { return left(posterior_); }
  View<float, 2> log_var() const { return right(posterior_); }

  Likelihood family() const {
    const bool bernoulli = which_ == UnfusedLikelihood::kBernoulli;
    return {.family = bernoulli ? LikelihoodFamily::kBernoulli : LikelihoodFamily::kGaussian,
            .variance = VarianceKind::kUnit};
  }
  // The gradient of -log p, unscaled: a smaller one, over the output again and again, ends in subnormal
  // numbers.
  LikelihoodArgs likelihood_args(bool gradient) const {
    return {.x = x_.matrix(B_, X_),
            .output = output(),
            .want_gradient = gradient,
            .grad_scale = -1.0f,
            .log_px_given_z = log_px_given_z_.view(),
            .clamped = clamped_.vector(B_)};
  }
  UnfusedArgs args() const {
    return {.x = x_.matrix(B_, X_),
            .output = output(),
            .mu = mu(),
            .log_var = log_var(),
            .eps = eps_.matrix(B_, Z_),
            .grad_z = grad_z_.matrix(B_, Z_),
            .grad_scale = -1.0f,
            .z = z(),
            .kl = kl_.view(),
            .grad_mu = left(gradient_),
            .grad_log_var = right(gradient_)};
  }
  void add_up() const {
    elbo(exec_, {.log_px_given_z = log_px_given_z_.view(),
                 .kl = kl_.view(),
                 .elbo = elbo_.view(),
                 .totals = totals_.view()});
  }

  const Exec& exec_;
  UnfusedLikelihood which_;
  std::int64_t B_, X_, Z_;
  NoiseStream noise_{1, 0, Purpose::kLatent};
  Buffer<Exec, float> x_, output_, posterior_, grad_z_;
  Buffer<Exec, std::uint32_t> datum_;
  Buffer<Exec, float> eps_, z_, log_px_given_z_, kl_, elbo_;
  Buffer<Exec, float> gradient_;  // by mu and log_var, laid out as the posterior
  Buffer<Exec, double> totals_;
  Buffer<Exec, std::int32_t> clamped_;
};

}  // namespace felbo::bench
