// One optimiser step, from the data to the new parameters.
#pragma once

#include <map>
#include <span>
#include <type_traits>
#include <vector>

#include "host/data/resident_data.h"
#include "host/exec/replay.h"
#include "host/model/vae.h"
#include "host/train/model_state.h"
#include "kernels/adam/adam.h"
#include "kernels/counts/counts.h"
#include "kernels/minibatch/minibatch.h"
#include "kernels/objective/objective.h"
#include "kernels/reparameterize/reparameterize.h"
#include "kernels/round/round.h"

namespace felbo {

struct TrainingStepOptions {
  std::int64_t max_batch = 128;  // data a step
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

/// Minimises the mean over the batch of beta KL - (1/S) sum_s log p(x|z_s). Allocates once; a step only runs
/// ops, the same ones for every batch of a size, so that a GPU replays them. `exec`, `vae`, `data` and
/// `state` must outlive this object.
///
/// T = BFloat16 (CudaExec only): products read x, z, parameters and gradients in bfloat16. The parameters
/// that are trained, their gradients and moments, the data that the likelihood sees, mu, log_var and all
/// figures stay float. The rounded parameters are a function of the trained ones, so a state holds all that
/// there is.
template <class Exec, class T = float>
class TrainingStep {
 public:
  /// Throws std::invalid_argument if the data do not fit the model.
  TrainingStep(const Exec& exec, const Vae& vae, const ResidentData<Exec>& data, ModelState<Exec>& state,
               const TrainingStepOptions& options)
      : exec_(exec),
        vae_(vae),
        data_(data),
        state_(state),
        options_(options),
        order_(exec, data.rows()),
        plan_(exec, data.rows()),
        position_(exec, 1),
        rows_(exec, options.max_batch),
        now_(exec, 1),
        gradient_(exec, vae.table().size()),
        rounded_(exec, kRounds ? vae.table().size() : 0),
        work_(exec, vae, options.max_batch, options.samples, true),
        totals_(exec, 3),
        clamped_(exec, 1),
        found_(exec, 1) {
    FELBO_CHECK(data.cols() == vae.config().dimensions, "the data have {} columns, the model was made for {}",
                data.cols(), vae.config().dimensions);
  }

  /// Lays out the coming steps: step i visits order[i * max_batch] and on (the last step may visit fewer than
  /// max_batch) at learning rate rates[i]. Throws std::invalid_argument if `order` is empty or longer than
  /// the data, or there is not one rate a step.
  void begin(std::span<const std::uint32_t> order, std::span<const double> rates) {
    const auto count = static_cast<std::int64_t>(order.size()), batch = options_.max_batch;
    const std::int64_t steps = (count + batch - 1) / batch;
    FELBO_CHECK(count >= 1 && count <= data_.rows(), "{} data are to be visited, there are {}", count,
                data_.rows());
    FELBO_CHECK(static_cast<std::int64_t>(rates.size()) == steps, "{} learning rates for {} steps",
                rates.size(), steps);
    std::vector<StepPlan> plan;
    for (std::int64_t i = 0; i < steps; ++i) {
      const std::int64_t step = state_.step + i, B = std::min(batch, count - i * batch);
      plan.push_back({static_cast<std::uint32_t>(step), options_.beta / static_cast<float>(B),
                      adam_step({.lr = static_cast<float>(rates[static_cast<std::size_t>(i)]),
                                 .beta1 = options_.adam_beta1,
                                 .beta2 = options_.adam_beta2,
                                 .epsilon = options_.adam_epsilon},
                                step + 1)});
    }
    upload(exec_, order, order_.view());
    upload(exec_, plan, plan_.view());
    zero(exec_, position_.view());
    if constexpr (kRounds) round_to_bfloat16(exec_, {state_.parameters.view(), rounded_.view()});
    left_ = count;
  }

  /// Takes the next step of those laid out and returns how many data it visits. Throws std::invalid_argument
  /// if none is left.
  std::int64_t operator()() {
    FELBO_CHECK(left_ > 0, "no step is laid out");
    const std::int64_t B = std::min(options_.max_batch, left_);
    replays_[B](exec_, [&] { enqueue(B); });
    left_ -= B;
    count_ += B;
    ++state_.step;
    return B;
  }

  /// How many parameters are NaN or infinite. Waits for the steps taken. Losses alone do not tell: a relu may
  /// make 0 of NaN, and a network that is NaN in its depth then goes on with what its last bias gives.
  std::int64_t non_finite_parameters() const {
    zero(exec_, found_.view());
    add_non_finite(exec_, {state_.parameters.view(), found_.view()});
    return to_host(exec_, found_.view())[0];
  }

  /// The flat gradient of the last step, (P).
  View<const float, 1> gradient() const { return gradient_.view(); }

  /// The sums so far, without touching them. Waits for the steps taken.
  TrainingTotals totals() const {
    const std::vector<double> sums = to_host(exec_, totals_.view());
    return {sums[0], sums[1], sums[2], count_, to_host(exec_, clamped_.view())[0]};
  }
  /// The sums so far; starts new ones.
  TrainingTotals take_totals() {
    const TrainingTotals totals = this->totals();
    zero(exec_, totals_.view());
    zero(exec_, clamped_.view());
    count_ = 0;
    return totals;
  }

 private:
  /// The way of the data, top to bottom.
  void enqueue(std::int64_t B) {
    const std::int64_t S = options_.samples, Z = vae_.config().latent;
    const View<const std::uint32_t, 1> rows = rows_.vector(B);
    const StepPlan* now = now_.data();
    const Scalar step = Scalar<std::uint32_t>::read(&now->step);
    const NoiseStream latent_noise{options_.seed, step, Purpose::kLatent};
    const MlpParameters<T> parameters = this->parameters();
    const View<float, 1> gradient = gradient_.view();
    const View<float, 2> x = work_.x.matrix(B, data_.cols());
    const View<const T, 2> input = this->input(B);
    const View<T, 2> z = work_.z.matrix(B * S, Z), grad_z = work_.grad_z.matrix(B * S, Z);
    const View<float, 2> posterior = work_.encoder.result(vae_.encoder(), B);
    const View<float, 2> mu = posterior.col_slice(0, Z), log_var = posterior.col_slice(Z, Z);
    const View<T, 2> grad_posterior = work_.grad_posterior.matrix(B, 2 * Z);
    const View<T, 2> output = work_.decoder.result(vae_.decoder(), B * S);
    const View<std::int32_t, 1> clamped_posterior = work_.clamped_posterior.vector(B);
    const View<std::int32_t, 1> clamped_likelihood = work_.clamped_likelihood.vector(B * S);

    next_minibatch(exec_, {.order = order_.view(),
                           .plan = plan_.view(),
                           .batch = options_.max_batch,
                           .position = position_.view(),
                           .rows = rows_.vector(B),
                           .now = now_.view()});
    data_.gather_rows(exec_, rows, options_.binarize, {options_.seed, step, Purpose::kBinarize}, x,
                      rounded_input(B));

    forward(exec_, vae_.encoder(), parameters, vae_.table(), input, work_.encoder);
    reparameterize(exec_, ReparameterizeArgsOf<T>{.mu = mu,
                                                  .log_var = log_var,
                                                  .clamp = vae_.config().clamp,
                                                  .noise = latent_noise,
                                                  .datum = rows,
                                                  .samples = static_cast<int>(S),
                                                  .z = z,
                                                  .kl = work_.kl.vector(B),
                                                  .clamped = clamped_posterior});
    forward(exec_, vae_.decoder(), parameters, vae_.table(), z, work_.decoder);
    likelihood(exec_, vae_.config().likelihood,
               LikelihoodArgsOf<T>{.x = x,
                                   .samples = static_cast<int>(S),
                                   .output = output,
                                   .own = vae_.own(parameters.trained),
                                   .grad_scale = -1.0f / static_cast<float>(B * S),
                                   .log_px_given_z = work_.log_px_given_z.vector(B * S),
                                   .grad_own = vae_.own(gradient),
                                   .scratch = work_.scratch.view(),
                                   .clamped = clamped_likelihood});
    elbo(exec_, {.log_px_given_z = work_.log_px_given_z.vector(B * S),
                 .kl = work_.kl.vector(B),
                 .samples = static_cast<int>(S),
                 .elbo = work_.elbo.vector(B),
                 .totals = totals_.view()});
    add_counts(exec_, {clamped_posterior, clamped_.view()});
    add_counts(exec_, {clamped_likelihood, clamped_.view()});

    // The likelihood has left its gradient in the decoder's output.
    backward(exec_, vae_.decoder(), parameters, vae_.table(), z, work_.decoder, output, gradient, grad_z);
    reparameterize_backward(exec_,
                            ReparameterizeGradArgsOf<T>{.mu = mu,
                                                        .log_var = log_var,
                                                        .clamp = vae_.config().clamp,
                                                        .noise = latent_noise,
                                                        .datum = rows,
                                                        .samples = static_cast<int>(S),
                                                        .grad_z = grad_z,
                                                        .kl_scale = Scalar<float>::read(&now->kl_scale),
                                                        .grad_mu = grad_posterior.col_slice(0, Z),
                                                        .grad_log_var = grad_posterior.col_slice(Z, Z)});
    backward(exec_, vae_.encoder(), parameters, vae_.table(), input, work_.encoder, grad_posterior, gradient,
             {});
    adam(exec_, {.parameter = state_.parameters.view(),
                 .gradient = gradient,
                 .m = state_.m.view(),
                 .v = state_.v.view(),
                 .step = Scalar<AdamStep>::read(&now->adam),
                 .rounded = rounded_parameters()});
  }

  // What products read: rounded copies, or the floats themselves.
  static constexpr bool kRounds = !std::is_same_v<T, float>;
  View<BFloat16, 1> rounded_parameters() const { return kRounds ? rounded_.view() : View<BFloat16, 1>(); }
  MlpParameters<T> parameters() const {
    if constexpr (kRounds) {
      return {rounded_.view(), state_.parameters.view()};
    } else {
      return {state_.parameters.view()};
    }
  }
  View<BFloat16, 2> rounded_input(std::int64_t B) const {
    if constexpr (kRounds) {
      return work_.x_rounded.matrix(B, data_.cols());
    } else {
      return {};
    }
  }
  View<const T, 2> input(std::int64_t B) const {
    if constexpr (kRounds) {
      return work_.x_rounded.matrix(B, data_.cols());
    } else {
      return work_.x.matrix(B, data_.cols());
    }
  }

  const Exec& exec_;
  const Vae& vae_;
  const ResidentData<Exec>& data_;
  ModelState<Exec>& state_;
  TrainingStepOptions options_;
  Buffer<Exec, std::uint32_t> order_;  // (N) what the steps laid out visit
  Buffer<Exec, StepPlan> plan_;        // (N) the steps laid out, at most one a datum
  Buffer<Exec, std::int64_t> position_;
  Buffer<Exec, std::uint32_t> rows_;  // (B) of the step under way
  Buffer<Exec, StepPlan> now_;
  Buffer<Exec, float> gradient_;
  Buffer<Exec, BFloat16> rounded_;  // (P) the parameters; none where T is float
  VaeWorkspace<Exec, T> work_;
  Buffer<Exec, double> totals_;
  Buffer<Exec, std::int64_t> clamped_, found_;
  std::map<std::int64_t, Replay<Exec>> replays_;  // one a size of batch: full ones, and an epoch's last
  std::int64_t left_ = 0;                         // data that the steps laid out have still to visit
  std::int64_t count_ = 0;
};

}  // namespace felbo
