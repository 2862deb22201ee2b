// One optimiser step, from the data to the new parameters: the way of the data, top to bottom.
#pragma once

#include "host/data/resident_data.h"
#include "host/model/vae.h"
#include "host/train/model_state.h"
#include "kernels/adam/adam.h"
#include "kernels/counts/counts.h"
#include "kernels/objective/objective.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo {

struct TrainingStepOptions {
  std::int64_t max_batch = 128;  // B of a full batch
  int samples = 1;               // S, samples of z a datum
  float beta = 1.0f;             // weight of the KL in the loss
  Binarize binarize = Binarize::kNone;
  std::uint64_t seed = 0;
  float adam_beta1 = 0.9f;
  float adam_beta2 = 0.999f;
  float adam_epsilon = 1e-8f;
};

/// Sums over the data seen since the last take_totals(), in nats.
struct TrainingTotals {
  double log_px_given_z = 0.0;
  double kl = 0.0;
  double elbo = 0.0;
  std::int64_t count = 0;    // data
  std::int64_t clamped = 0;  // log-variances that the clamp held
};

/// Minimises the mean over the batch of beta KL - (1/S) sum_s log p(x|z_s). Allocates once; a call only runs
/// ops. Throws std::invalid_argument if the data do not fit the model or a batch is empty or too large.
template <class Exec>
class TrainingStep {
 public:
  TrainingStep(const Exec& exec, const Vae& vae, const ResidentData<Exec>& data,
               const TrainingStepOptions& options)
      : exec_(exec),
        vae_(vae),
        data_(data),
        options_(options),
        gradient_(exec, vae.table().size()),
        work_(exec, vae, options.max_batch, options.samples, true),
        totals_(exec, 3),
        clamped_(exec, 1) {
    FELBO_CHECK(data.cols() == vae.config().dimensions, "the data have {} columns, the model was made for {}",
                data.cols(), vae.config().dimensions);
  }

  /// Takes step number state.step + 1 on the data rows named (at most max_batch of them) at rate `lr`.
  void operator()(ModelState<Exec>& state, View<const std::uint32_t, 1> rows, float lr) {
    const std::int64_t B = rows.size, S = options_.samples, Z = vae_.config().latent;
    FELBO_CHECK(B >= 1 && B <= options_.max_batch, "a batch must have 1 to {} rows, got {}",
                options_.max_batch, B);
    const auto step = static_cast<std::uint32_t>(state.step);
    const NoiseStream binarize_noise{options_.seed, step, Purpose::kBinarize};
    const NoiseStream latent_noise{options_.seed, step, Purpose::kLatent};
    const Likelihood& family = vae_.config().likelihood;
    const LogVarClamp clamp = vae_.config().clamp;
    const float likelihood_scale = -1.0f / static_cast<float>(B * S);
    const float kl_scale = options_.beta / static_cast<float>(B);
    const View<const float, 1> parameters = state.parameters.view();
    const View<float, 1> gradient = gradient_.view();

    const View<float, 2> x = work_.x.matrix(B, data_.cols());
    const View<float, 2> z = work_.z.matrix(B * S, Z);
    const View<float, 2> grad_z = work_.grad_z.matrix(B * S, Z);
    const View<float, 2> posterior = work_.encoder.result(vae_.encoder(), B);
    const View<float, 2> mu = posterior.col_slice(0, Z), log_var = posterior.col_slice(Z, Z);
    const View<float, 2> grad_posterior = work_.grad_posterior.matrix(B, 2 * Z);
    const View<float, 2> output = work_.decoder.result(vae_.decoder(), B * S);
    const View<float, 1> log_px_given_z = work_.log_px_given_z.vector(B * S);
    const View<float, 1> kl = work_.kl.vector(B);
    const View<std::int32_t, 1> clamped_posterior = work_.clamped_posterior.vector(B);
    const View<std::int32_t, 1> clamped_likelihood = work_.clamped_likelihood.vector(B * S);

    data_.gather_rows(exec_, rows, options_.binarize, binarize_noise, x);

    forward(exec_, vae_.encoder(), parameters, vae_.table(), x, work_.encoder);
    reparameterize(exec_, {.mu = mu,
                           .log_var = log_var,
                           .clamp = clamp,
                           .noise = latent_noise,
                           .datum = rows,
                           .samples = static_cast<int>(S),
                           .z = z,
                           .kl = kl,
                           .clamped = clamped_posterior});
    forward(exec_, vae_.decoder(), parameters, vae_.table(), z, work_.decoder);
    likelihood(exec_, family,
               {.x = x,
                .samples = static_cast<int>(S),
                .output = output,
                .own = vae_.own(parameters),
                .grad_scale = likelihood_scale,
                .log_px_given_z = log_px_given_z,
                .grad_own = vae_.own(gradient),
                .scratch = work_.scratch.view(),
                .clamped = clamped_likelihood});
    elbo(exec_, {.log_px_given_z = log_px_given_z,
                 .kl = kl,
                 .samples = static_cast<int>(S),
                 .elbo = work_.elbo.vector(B),
                 .totals = totals_.view()});
    add_counts(exec_, {clamped_posterior, clamped_.view()});
    add_counts(exec_, {clamped_likelihood, clamped_.view()});

    // The likelihood has left its gradient in the decoder's output.
    backward(exec_, vae_.decoder(), parameters, vae_.table(), z, work_.decoder, output, gradient, grad_z);
    reparameterize_backward(exec_, {.mu = mu,
                                    .log_var = log_var,
                                    .clamp = clamp,
                                    .noise = latent_noise,
                                    .datum = rows,
                                    .samples = static_cast<int>(S),
                                    .grad_z = grad_z,
                                    .kl_scale = kl_scale,
                                    .grad_mu = grad_posterior.col_slice(0, Z),
                                    .grad_log_var = grad_posterior.col_slice(Z, Z)});
    backward(exec_, vae_.encoder(), parameters, vae_.table(), x, work_.encoder, grad_posterior, gradient, {});

    ++state.step;
    adam(exec_, {.parameter = state.parameters.view(),
                 .gradient = gradient,
                 .m = state.m.view(),
                 .v = state.v.view(),
                 .lr = lr,
                 .beta1 = options_.adam_beta1,
                 .beta2 = options_.adam_beta2,
                 .epsilon = options_.adam_epsilon,
                 .step = state.step});
    count_ += B;
  }

  /// The flat gradient of the last step, (P).
  View<const float, 1> gradient() const { return gradient_.view(); }

  /// The sums so far, without touching them.
  TrainingTotals totals() const {
    const auto sums = totals_.host();
    return {sums[0], sums[1], sums[2], count_, clamped_.host()[0]};
  }
  /// The sums so far; starts new ones.
  TrainingTotals take_totals() {
    const TrainingTotals totals = this->totals();
    std::ranges::fill(totals_.host(), 0.0);
    clamped_.host()[0] = 0;
    count_ = 0;
    return totals;
  }

 private:
  Exec exec_;
  const Vae& vae_;
  const ResidentData<Exec>& data_;
  TrainingStepOptions options_;
  Buffer<Exec, float> gradient_;
  VaeWorkspace<Exec> work_;
  Buffer<Exec, double> totals_;
  Buffer<Exec, std::int64_t> clamped_;
  std::int64_t count_ = 0;
};

}  // namespace felbo
