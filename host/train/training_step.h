// One optimiser step, from the data to the new parameters.
#pragma once

#include <array>
#include <map>
#include <span>
#include <type_traits>
#include <vector>

#include "host/data/resident_data.h"
#include "host/exec/replay.h"
#include "host/model/latent.h"
#include "host/model/vae.h"
#include "host/train/model_state.h"
#include "host/train/training_objective.h"
#include "kernels/adam/adam.h"
#include "kernels/counts/counts.h"
#include "kernels/free_bits/free_bits.h"
#include "kernels/minibatch/minibatch.h"
#include "kernels/objective/objective.h"
#include "kernels/round/round.h"
#include "kernels/step_guard/step_guard.h"

namespace felbo {

struct TrainingStepOptions {
  std::int64_t max_batch = 128;  // data a step
  int samples = 1;               // S, samples of z a datum
  TrainingObjective objective = TrainingObjective::kElbo;
  float free_bits = 0.0f;  // nats a latent dimension that the KL costs nothing below; kElbo only
  Binarize binarize = Binarize::kNone;
  std::uint64_t seed = 0;
  float adam_beta1 = 0.9f;
  float adam_beta2 = 0.999f;
  float adam_epsilon = 1e-8f;
  double clip_norm = 0.0;  // the gradient's L2 norm is brought down to this; 0: it is left alone
  OnNonFinite on_non_finite = OnNonFinite::kStop;
  bool track_norm = false;  // whether the norm is taken where nothing else asks for it

  /// Whether a step reads its gradient once more, for its norm, before Adam does. Where it does not, a step
  /// whose loss is finite and whose gradient is not is taken, and shows in the parameters.
  bool takes_norm() const { return track_norm || clip_norm > 0.0 || on_non_finite == OnNonFinite::kSkip; }
};

/// What a step is given beside its data.
struct StepRates {
  double lr = 1e-3;
  double beta = 1.0;  // weight of the KL
};

/// The first step that was not taken, because a sum of its terms or its gradient was not finite.
struct BadStep {
  std::int64_t step = -1;  // steps before it; -1: there is none
  double elbo = 0.0;       // the sum over its data
  double norm = 0.0;       // of its gradient
};

/// Sums over the data seen since the last take_totals(), in nats. Steps that were not taken count nowhere but
/// in `skipped_`.
struct TrainingTotals {
  double log_px_given_z = 0.0;
  double kl = 0.0;           // in closed form where there is one, whatever the objective; else by the samples
  double elbo = 0.0;         // with this KL
  double bound = 0.0;        // log mean_s w_s, where the objective has importance weights
  std::int64_t count = 0;    // data
  std::int64_t clamped = 0;  // log-variances that the clamp held
  double norm_sum = 0.0, norm_max = 0.0;  // of the gradients' L2 norms, before they are clipped
  std::int64_t steps = 0, clipped_steps = 0;
  std::int64_t skipped_steps = 0, skipped_data = 0;
  BadStep bad;
};

/// Maximises the mean over the batch of the objective (training_objective.h). Allocates once; a step only
/// runs ops, the same ones for every batch of a size, so that a GPU replays them. `exec`, `vae`, `data` and
/// `state` must outlive this object.
///
/// T = BFloat16 (CudaExec only): products read x, z, parameters and gradients in bfloat16. The parameters
/// that are trained, their gradients and moments, the data that the likelihood sees, mu, log_var and all
/// figures stay float. The rounded parameters are a function of the trained ones, so a state holds all that
/// there is.
template <class Exec, class T = float>
class TrainingStep {
 public:
  /// Throws std::invalid_argument if the data do not fit the model, or the objective, free bits or T the
  /// posterior and prior.
  TrainingStep(const Exec& exec, const Vae& vae, const ResidentData<Exec>& data, ModelState<Exec>& state,
               const TrainingStepOptions& options)
      : exec_(exec),
        vae_(vae),
        data_(data),
        state_(state),
        options_(options),
        reader_(exec, data, options.max_batch),
        order_(exec, data.rows()),
        plan_(exec, (data.rows() + options.max_batch - 1) / options.max_batch),
        position_(exec, 1),
        rows_(exec, options.max_batch),
        now_(exec, 1),
        gradient_(exec, vae.table().size()),
        rounded_(exec, kRounds ? vae.table().size() : 0),
        work_(exec, vae, options.max_batch, options.samples, true),
        latent_(exec, vae, options.max_batch, options.samples, true),
        weight_(exec, weighed(options) ? options.max_batch * options.samples : 0),
        bound_(exec, weighed(options) ? options.max_batch : 0),
        kl_of_dimension_(exec, options.free_bits > 0 ? vae.config().latent : 0),
        kl_weight_(exec, kl_of_dimension_.size()),
        terms_(exec, 4),
        squares_(exec, options.takes_norm() ? step_guard_scratch(vae.table().size()) : 0),
        guard_(exec, 1),
        clamped_(exec, 1),
        found_(exec, 1) {
    FELBO_CHECK(data.cols() == vae.config().dimensions, "the data have {} columns, the model was made for {}",
                data.cols(), vae.config().dimensions);
    check_objective(options.objective, options.free_bits, vae.config());
    FELBO_CHECK(!kRounds || (vae.config().prior.is_standard() && vae.above().empty() &&
                             vae.config().posterior.family == PosteriorFamily::kDiagonalGaussian),
                "in bfloat16 the posterior is a diagonal Gaussian, the prior standard normal or uniform and "
                "z the only stochastic layer");
  }

  /// Lays out the coming steps: step i visits order[i * max_batch] and on (the last step may visit fewer than
  /// max_batch) at rates[i]. Throws std::invalid_argument if `order` is empty or longer than the data, or
  /// there are not rates for each step.
  void begin(std::span<const std::uint32_t> order, std::span<const StepRates> rates) {
    const auto count = static_cast<std::int64_t>(order.size()), batch = options_.max_batch;
    const std::int64_t steps = (count + batch - 1) / batch;
    FELBO_CHECK(count >= 1 && count <= data_.rows(), "{} data are to be visited, there are {}", count,
                data_.rows());
    FELBO_CHECK(static_cast<std::int64_t>(rates.size()) == steps, "rates of {} steps for {} steps",
                rates.size(), steps);
    reader_.begin(order);
    std::vector<StepPlan> plan;
    for (std::int64_t i = 0; i < steps; ++i) {
      const std::int64_t step = state_.step + i, B = std::min(batch, count - i * batch);
      const StepRates& now = rates[static_cast<std::size_t>(i)];
      plan.push_back({static_cast<std::uint32_t>(step), static_cast<float>(now.beta) / static_cast<float>(B),
                      adam_step({.lr = static_cast<float>(now.lr),
                                 .beta1 = options_.adam_beta1,
                                 .beta2 = options_.adam_beta2,
                                 .epsilon = options_.adam_epsilon},
                                step + 1),
                      reader_.place(i)});
    }
    upload(exec_, order, order_.view());
    upload(exec_, plan, plan_.vector(steps));
    zero(exec_, position_.view());
    if constexpr (kRounds) round_to_bfloat16(exec_, {state_.parameters.view(), rounded_.view()});
    left_ = count;
  }

  /// Takes the next step of those laid out and returns how many data it visits. Throws std::invalid_argument
  /// if none is left.
  std::int64_t operator()() {
    FELBO_CHECK(left_ > 0, "no step is laid out");
    const std::int64_t B = std::min(options_.max_batch, left_);
    reader_.feed();
    replays_[B](exec_, [&] { enqueue(B); });
    left_ -= B;
    ++state_.step;
    return B;
  }

  /// How many parameters and moments are NaN or infinite. Waits for the steps taken. Losses alone do not
  /// tell: a relu may make 0 of NaN, and a network that is NaN in its depth then goes on with what its last
  /// bias gives; and a moment that is infinite holds its parameter still.
  std::int64_t non_finite_parameters() const {
    zero(exec_, found_.view());
    for (const Buffer<Exec, float>* buffer : {&state_.parameters, &state_.m, &state_.v})
      add_non_finite(exec_, {buffer->view(), found_.view()});
    return to_host(exec_, found_.view())[0];
  }

  /// The flat gradient of the last step, (P), before it is clipped.
  View<const float, 1> gradient() const { return gradient_.view(); }

  /// What a bad step is followed by.
  OnNonFinite on_non_finite() const { return options_.on_non_finite; }

  /// The sums so far, without touching them. Waits for the steps taken. From a bad step on that stops the
  /// training they stay as they are, as the state does but for its count of steps.
  TrainingTotals totals() const {
    const StepGuard g = to_host(exec_, guard_.view())[0];
    return {.log_px_given_z = g.log_px_given_z,
            .kl = g.kl,
            .elbo = g.elbo,
            .bound = g.bound,
            .count = g.data,
            .clamped = g.clamped,
            .norm_sum = g.norm_sum,
            .norm_max = g.norm_max,
            .steps = g.steps,
            .clipped_steps = g.clipped_steps,
            .skipped_steps = g.skipped_steps,
            .skipped_data = g.skipped_data,
            .bad = {g.first_bad - 1, g.bad_elbo, g.bad_norm}};
  }
  /// Goes on from the sums of steps that another object took; of a bad step it knows nothing.
  void restore_totals(const TrainingTotals& t) {
    StepGuard g{};
    g.log_px_given_z = t.log_px_given_z;
    g.kl = t.kl;
    g.elbo = t.elbo;
    g.bound = t.bound;
    g.data = t.count;
    g.clamped = t.clamped;
    g.norm_sum = t.norm_sum;
    g.norm_max = t.norm_max;
    g.steps = t.steps;
    g.clipped_steps = t.clipped_steps;
    g.skipped_steps = t.skipped_steps;
    g.skipped_data = t.skipped_data;
    upload(exec_, std::array{g}, guard_.view());
  }
  /// The sums so far; starts new ones.
  TrainingTotals take_totals() {
    const TrainingTotals totals = this->totals();
    zero(exec_, guard_.view());
    return totals;
  }

 private:
  /// What a step on B data works on.
  struct Step {
    std::int64_t B;
    int S;
    View<const std::uint32_t, 1> rows;  // (B)
    MlpParameters<T> parameters;
    NoiseStream binarize_noise;
    Scalar<float> kl_scale;                 // beta / B
    View<float, 2> x;                       // (B, X)
    LatentDrawOf<T> draw;                   // of z, and its terms
    View<T, 2> grad_posterior;              // (B, posterior.outputs(Z)), behind it (K, 2 Z) of pseudo-inputs
    View<T, 2> grad_z;                      // (B S, Z)
    View<T, 2> output;                      // (B S, outputs X) of the decoder, then the gradient over it
    View<float, 1> log_px_given_z, weight;  // (B S); the weights are empty where all samples count alike
  };

  Step step_of(std::int64_t B) {
    const std::int64_t Z = vae_.config().latent, R = B * options_.samples;
    const StepPlan* now = now_.data();
    const Scalar step = Scalar<std::uint32_t>::read(&now->step);
    const std::int64_t K = vae_.pseudo_rows();
    const View<float, 2> posterior = work_.encoder.result(vae_.encoder(), B + K);
    const bool weighed = has_importance_weights(options_.objective);
    const LatentDrawOf<T> draw{.posterior = posterior.row_slice(0, B),
                               .pseudo = posterior.row_slice(B, K),
                               .parameters = state_.parameters.view(),
                               .noise = {options_.seed, step, Purpose::kLatent},
                               .datum = rows_.vector(B),
                               .samples = options_.samples,
                               .z = work_.z.matrix(R, Z),
                               .kl = work_.kl.vector(B),
                               .clamped = work_.clamped_posterior.vector(B),
                               .log_pz = work_.log_pz.vector(R),
                               .log_qz_given_x = work_.log_qz_given_x.vector(R),
                               .want_logs = weighed || needs_prior_gradient()};
    return {.B = B,
            .S = options_.samples,
            .rows = rows_.vector(B),
            .parameters = parameters(),
            .binarize_noise = {options_.seed, step, Purpose::kBinarize},
            .kl_scale = Scalar<float>::read(&now->kl_scale),
            .x = work_.x.matrix(B, data_.cols()),
            .draw = draw,
            .grad_posterior = work_.grad_posterior.matrix(B + K, vae_.encoder().out()),
            .grad_z = work_.grad_z.matrix(R, Z),
            .output = work_.decoder.result(vae_.decoder(), R),
            .log_px_given_z = work_.log_px_given_z.vector(R),
            .weight = weighed ? weight_.vector(R) : View<float, 1>()};
  }

  /// The way of the data, top to bottom.
  void enqueue(std::int64_t B) {
    const Step s = step_of(B);
    next_minibatch(exec_, {.order = order_.view(),
                           .plan = plan_.view(),
                           .batch = options_.max_batch,
                           .position = position_.view(),
                           .rows = rows_.vector(B),
                           .now = now_.view()});
    reader_.gather_rows(s.rows, Scalar<std::int64_t>::read(&now_.data()->place), options_.binarize,
                        s.binarize_noise, s.x, rounded_x(B));
    const View<const T, 2> input = with_pseudo_inputs(encoder_input<Exec, T>(exec_, vae_, s.x, work_.input));
    forward(exec_, vae_.encoder(), s.parameters, vae_.table(), input, work_.encoder);
    const View<const T, 2> code = draw_latent(exec_, vae_, s.draw, latent_);
    weigh_dimensions(s);
    forward(exec_, vae_.decoder(), s.parameters, vae_.table(), code, work_.decoder);
    score(s);
    backward(exec_, vae_.decoder(), s.parameters, vae_.table(), code, work_.decoder, s.output,
             gradient_.view(), s.grad_z);
    draw_backward(s);
    const View<T, 2> grad_input = grad_encoder_input(B);
    backward(exec_, vae_.encoder(), s.parameters, vae_.table(), input, work_.encoder, s.grad_posterior,
             gradient_.view(), grad_input);
    take_pseudo_gradient(grad_input, B);
    guard_step(exec_, {.gradient = options_.takes_norm() ? gradient_.view() : View<float, 1>(),
                       .terms = terms_.view(),
                       .clamped = clamped_.view(),
                       .data = B,
                       .step = Scalar<std::uint32_t>::read(&now_.data()->step),
                       .clip_norm = options_.clip_norm,
                       .on_non_finite = options_.on_non_finite,
                       .partial = squares_.view(),
                       .guard = guard_.view()});
    adam(exec_, {.parameter = state_.parameters.view(),
                 .gradient = gradient_.view(),
                 .m = state_.m.view(),
                 .v = state_.v.view(),
                 .step = Scalar<AdamStep>::read(&now_.data()->adam),
                 .scale = Scalar<float>::read(&guard_.data()->scale),
                 .rounded = rounded_parameters()});
  }

  /// Which dimensions pay for their KL.
  void weigh_dimensions(const Step& s) {
    if (options_.free_bits == 0) return;
    const std::int64_t Z = vae_.config().latent;
    free_bits(exec_, {.mu = s.draw.posterior.col_slice(0, Z),
                      .log_var = s.draw.posterior.col_slice(Z, Z),
                      .clamp = vae_.config().clamp,
                      .threshold = options_.free_bits,
                      .kl = kl_of_dimension_.view(),
                      .weight = kl_weight_.view()});
  }

  /// log p(x|z), the objective, and the likelihood's gradient over the decoder's output. Importance weights
  /// need log p(x|z) of all samples before the first gradient can be written, so there the likelihood passes
  /// over the decoder's output twice: first for its value alone. (Weighing a gradient that one pass had
  /// written would read and write it once more, which moves as many bytes.)
  void score(const Step& s) {
    LikelihoodArgsOf<T> args{.x = s.x,
                             .samples = s.S,
                             .output = s.output,
                             .own = vae_.own(s.parameters.trained),
                             .grad_scale = -1.0f / static_cast<float>(s.B * s.S),
                             .log_px_given_z = s.log_px_given_z,
                             .grad_own = vae_.own(gradient_.view()),
                             .scratch = work_.scratch.view(),
                             .clamped = work_.clamped_likelihood.vector(s.B * s.S)};
    if (has_importance_weights(options_.objective)) {
      args.want_gradient = false;
      likelihood(exec_, vae_.config().likelihood, args);
      importance_weights(exec_, {.log_px_given_z = s.log_px_given_z,
                                 .log_pz = s.draw.log_pz,
                                 .log_qz_given_x = s.draw.log_qz_given_x,
                                 .samples = s.S,
                                 .weight = s.weight,
                                 .bound = bound_.vector(s.B),
                                 .total = terms_.view().slice(3, 1)});
      args.want_gradient = true;
      args.grad_scale = -1.0f / static_cast<float>(s.B);
      args.weight = s.weight;
    }
    likelihood(exec_, vae_.config().likelihood, args);
    elbo(exec_, {.log_px_given_z = s.log_px_given_z,
                 .kl = work_.kl.vector(s.B),
                 .samples = s.S,
                 .elbo = work_.elbo.vector(s.B),
                 .totals = terms_.view().slice(0, 3)});
    add_counts(exec_, {work_.clamped_posterior.vector(s.B), clamped_.view()});
    add_counts(exec_, {work_.clamped_likelihood.vector(s.B * s.S), clamped_.view()});
    if (!vae_.above().empty()) add_counts(exec_, {latent_.clamped_above.vector(s.B * s.S), clamped_.view()});
  }

  /// From the gradient over what the decoder reads to that over the posterior, the KL's share included.
  void draw_backward(const Step& s) {
    View<float, 2> grad_pseudo;
    if constexpr (!kRounds) grad_pseudo = s.grad_posterior.row_slice(s.B, vae_.pseudo_rows());
    draw_latent_backward(
        exec_, vae_, s.draw,
        LatentGradOf<T>{.grad_z = s.grad_z,
                        .gradient = gradient_kind(),
                        .kl_scale = s.kl_scale,
                        .weight = s.weight,
                        .kl_weight = options_.free_bits > 0 ? kl_weight_.view() : View<float, 1>(),
                        .grad_posterior = s.grad_posterior.row_slice(0, s.B),
                        .grad_pseudo = grad_pseudo,
                        .gradients = gradient_.view()},
        latent_);
  }

  // The pseudo-inputs of a VampPrior are trained: they go through the encoder behind the batch, as it reads
  // them, and their gradient comes back through it.
  View<const T, 2> with_pseudo_inputs(View<const T, 2> input) {
    if constexpr (!kRounds) {
      if (vae_.pseudo_rows() > 0) {
        const Buffer<Exec, float>& buffer = vae_.reads_log_counts() ? work_.input : work_.x;
        const std::int64_t begin = input.rows * input.cols, size = vae_.pseudo_rows() * input.cols;
        copy(exec_, vae_.pseudo_inputs(state_.parameters.view()), buffer.view().slice(begin, size));
        return {input.data, input.rows + vae_.pseudo_rows(), input.cols};
      }
    }
    return input;
  }
  View<T, 2> grad_encoder_input(std::int64_t B) const {
    if (vae_.pseudo_rows() == 0) return {};
    return work_.grad_input.matrix(B + vae_.pseudo_rows(), data_.cols());
  }
  void take_pseudo_gradient([[maybe_unused]] View<T, 2> grad_input, [[maybe_unused]] std::int64_t B) {
    if constexpr (!kRounds) {
      if (vae_.pseudo_rows() == 0) return;
      const View<float, 1> gradient = vae_.pseudo_inputs(gradient_.view());
      copy(exec_, View<const float, 1>{grad_input.row(B), gradient.size}, gradient);
    }
  }

  /// The estimate that the objective makes of this model's gradient.
  PosteriorGradient gradient_kind() const {
    const VaeConfig& c = vae_.config();
    const bool sampled = options_.objective == TrainingObjective::kElbo && !has_closed_kl(c);
    return sampled ? PosteriorGradient::kMonteCarlo : posterior_gradient(options_.objective);
  }
  /// Whether log p(z) of the samples is wanted for its gradient.
  bool needs_prior_gradient() const {
    return gradient_kind() != PosteriorGradient::kAnalyticKl && detail::has_density_of_its_own(vae_.config());
  }

  static bool weighed(const TrainingStepOptions& options) {
    return has_importance_weights(options.objective);
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
  /// Where the gather leaves x in bfloat16, if the encoder reads that.
  View<BFloat16, 2> rounded_x(std::int64_t B) const {
    if constexpr (kRounds) {
      if (!vae_.reads_log_counts()) return work_.input.matrix(B, data_.cols());
    }
    return {};
  }

  const Exec& exec_;
  const Vae& vae_;
  const ResidentData<Exec>& data_;
  ModelState<Exec>& state_;
  TrainingStepOptions options_;
  RowReader<Exec> reader_;
  Buffer<Exec, std::uint32_t> order_;  // (N) what the steps laid out visit
  Buffer<Exec, StepPlan> plan_;        // the steps laid out, at most those of an epoch
  Buffer<Exec, std::int64_t> position_;
  Buffer<Exec, std::uint32_t> rows_;  // (B) of the step under way
  Buffer<Exec, StepPlan> now_;
  Buffer<Exec, float> gradient_;
  Buffer<Exec, BFloat16> rounded_;  // (P) the parameters; none where T is float
  VaeWorkspace<Exec, T> work_;
  LatentWorkspace<Exec, T> latent_;
  Buffer<Exec, float> weight_, bound_;               // (B S), (B) of importance weights; none without
  Buffer<Exec, float> kl_of_dimension_, kl_weight_;  // (Z) of free bits; none without
  Buffer<Exec, double> terms_;                       // (4) sums over the step's data; 0 between steps
  Buffer<Exec, double> squares_;                     // scratch of the guard
  Buffer<Exec, StepGuard> guard_;
  Buffer<Exec, std::int64_t> clamped_, found_;    // clamped_: in the step; 0 between steps
  std::map<std::int64_t, Replay<Exec>> replays_;  // one a size of batch: full ones, and an epoch's last
  std::int64_t left_ = 0;                         // data that the steps laid out have still to visit
};

}  // namespace felbo
