#include "host/forensics/replay_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>

#include "host/check/training_step_bound.h"
#include "host/train/training_step_reference.h"
#include "kernels/adam/adam_reference.h"

namespace felbo {
namespace {

using reference::StepInput;
using reference::StepTrace;
using Values = std::vector<double>;

/// What the batch holds that the likelihood cannot observe; nothing: no such value.
std::optional<std::string> bad_data(const StepAtHand& at, const std::vector<float>& x) {
  const Observations kind = at.vae.config().likelihood.observations();
  const auto X = static_cast<std::size_t>(at.vae.config().dimensions);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const bool unit = x[i] >= 0.0f && x[i] <= 1.0f;
    const bool fits = kind == Observations::kReal     ? true
                      : kind == Observations::kCounts ? x[i] >= 0.0f && x[i] == std::floor(x[i])
                                                      : unit;
    if (std::isfinite(x[i]) && fits) continue;
    return fmt::format("row {}, column {} of the training data is {}, which the likelihood cannot observe",
                       at.rows[i / X], i % X, x[i]);
  }
  return std::nullopt;
}

/// Walks through a step in double in the order in which it is computed, to the first value that a float
/// cannot hold.
class RangeWalk {
 public:
  RangeWalk(const StepAtHand& at, const StepTrace<double>& trace)
      : at_(at), t_(trace), S_(static_cast<std::size_t>(at.options.samples)) {}

  std::optional<std::string> operator()() {
    const Rows data{1}, samples{S_}, none{0};
    forward(t_.encoder, "encoder", encoded());
    look("z", t_.latent.z, samples);
    layers_forward();
    if (reads_densities()) {
      look("log q(z|x)", t_.latent.log_qz, samples);
      look("log p(z)", t_.latent.log_pz, samples);
    }
    look("the KL", t_.latent.kl, data);
    forward(t_.decoder, "decoder", samples);
    look("log p(x|z)", t_.likelihood.log_px_given_z, samples);
    look("the gradient over the decoder's output", t_.likelihood.grad_output, samples);
    look("the gradient of the likelihood's own parameters", t_.likelihood.grad_own, none);
    backward(t_.decoder, "decoder", samples);
    layers_backward();
    gradient_of("prior.mu"), gradient_of("prior.log_var"), gradient_of("prior.logit");
    posterior_backward();
    look("the gradient by the encoder's answers to pseudo-inputs", t_.grad_pseudo, none);
    backward(t_.encoder, "encoder", encoded());
    return found_;
  }

 private:
  using Layers = std::vector<reference::LayerTrace<double>>;
  /// How many rows of a tensor a datum has, 0 where rows are no data; and how many lie behind those of the
  /// batch, which belong to pseudo-inputs.
  struct Rows {
    std::size_t per_datum, behind = 0;
  };

  Rows encoded() const { return {1, static_cast<std::size_t>(at_.vae.pseudo_rows())}; }
  /// Whether a step makes use of the samples' densities.
  bool reads_densities() const {
    const VaeConfig& c = at_.vae.config();
    const bool standard = c.prior.is_standard() && !c.posterior.couples_dimensions() && c.above.empty();
    return has_importance_weights(at_.options.objective) || !has_closed_kl(c) ||
           (at_.options.objective != TrainingObjective::kElbo && !standard);
  }

  void look(const std::string& what, std::span<const double> values, Rows rows) {
    if (found_) return;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::abs(values[i]) <= FLT_MAX) continue;
      const std::string value = std::isnan(values[i]) ? "nan" : fmt::format("{:.3g}", values[i]);
      found_ = fmt::format("in double, too, {} is {}{}; a float holds at most {:.3g}", what, value,
                           owner(i, values.size(), rows), FLT_MAX);
      return;
    }
  }
  /// " for row 4711 of the training data", of element i among `size`.
  std::string owner(std::size_t i, std::size_t size, Rows rows) const {
    if (rows.per_datum == 0) return "";
    const std::size_t data = at_.rows.size() * rows.per_datum, row = i / (size / (data + rows.behind));
    if (row >= data) return fmt::format(" for pseudo-input {}", row - data);
    return fmt::format(" for row {} of the training data", at_.rows[row / rows.per_datum]);
  }

  void forward(const Layers& layers, const std::string& name, Rows rows) {
    for (std::size_t l = 0; l < layers.size(); ++l)
      look(fmt::format("the output of {}.{} before its activation", name, l), layers[l].pre.value, rows);
  }
  void backward(const Layers& layers, const std::string& name, Rows rows) {
    for (std::size_t l = layers.size(); l-- > 0;) {
      look(fmt::format("the gradient of {}.{}.weight", name, l), layers[l].gradient.weight, {0});
      look(fmt::format("the gradient of {}.{}.bias", name, l), layers[l].gradient.bias, {0});
      if (l > 0 || rows.behind > 0)
        look(fmt::format("the gradient by the input of {}.{}", name, l), layers[l].gradient.x, rows);
    }
  }
  void layers_forward() {
    for (std::size_t i = 0; i < t_.above.size(); ++i) {
      forward(t_.above[i].encoder, fmt::format("encoder{}", i + 2), {S_});
      look(fmt::format("h{}", i + 2), t_.above[i].h, {S_});
    }
    for (std::size_t i = 0; i < t_.above.size(); ++i)
      forward(t_.above[i].decoder, fmt::format("decoder{}", i + 2), {S_});
  }
  void layers_backward() {
    for (std::size_t i = 0; i < t_.above.size(); ++i) {
      look(fmt::format("the gradient over the output of decoder{}", i + 2), t_.above[i].grad_prior, {S_});
      backward(t_.above[i].decoder, fmt::format("decoder{}", i + 2), {S_});
    }
    for (std::size_t i = t_.above.size(); i-- > 0;) {
      look(fmt::format("the gradient by h{}", i + 2), t_.above[i].grad_h, {S_});
      look(fmt::format("the gradient over the output of encoder{}", i + 2), t_.above[i].grad_posterior, {S_});
      backward(t_.above[i].encoder, fmt::format("encoder{}", i + 2), {S_});
      look(fmt::format("the gradient by the input of encoder{}", i + 2), t_.above[i].grad_below, {S_});
    }
  }
  /// Of a tensor of the prior, if there is one of this name.
  void gradient_of(const std::string& name) {
    for (const ParameterEntry& entry : at_.vae.table().entries())
      if (entry.name == name) look("the gradient of " + name, reference::tensor_of(t_.gradient, entry), {0});
  }
  /// By what the encoder gives a datum, part after part.
  void posterior_backward() {
    const VaeConfig& c = at_.vae.config();
    const auto E = static_cast<std::size_t>(c.posterior.outputs(c.latent)),
               Z = static_cast<std::size_t>(c.latent);
    const std::size_t log_vars = c.posterior.family == PosteriorFamily::kIsotropicGaussian ? 1 : Z;
    columns("the gradient by mu", E, 0, Z);
    columns("the gradient by log_var", E, Z, log_vars);
    columns(c.posterior.family == PosteriorFamily::kPlanarFlow ? "the gradient by the flow's parameters"
                                                               : "the gradient by the covariance's factor",
            E, Z + log_vars, E - Z - log_vars);
  }
  void columns(const std::string& what, std::size_t width, std::size_t begin, std::size_t count) {
    Values part;
    for (std::size_t b = 0; b < at_.rows.size() && count > 0; ++b) {
      const Values row = reference::part_of(t_.grad_posterior, b, width, begin, count);
      part.insert(part.end(), row.begin(), row.end());
    }
    look(what, part, {1});
  }

  const StepAtHand& at_;
  const StepTrace<double>& t_;
  std::size_t S_;
  std::optional<std::string> found_;
};

/// A number within the latent part of the step that a float cannot hold, though what comes of it fits;
/// nothing: there is none. An op may be right to give NaN there.
std::optional<std::string> beyond_on_the_way(const StepAtHand& at, const StepTrace<double>& trace) {
  const auto worst = std::ranges::max_element(trace.largest);
  if (*worst <= FLT_MAX) return std::nullopt;
  return fmt::format(
      "in double, too, a number on the way from the encoder's output to z, its densities and the KL, or "
      "back, "
      "is of magnitude {:.3g} for row {} of the training data; a float holds at most {:.3g}",
      *worst, at.rows[static_cast<std::size_t>(worst - trace.largest.begin())], FLT_MAX);
}

double norm_of(const Values& gradient) {
  double squares = 0;
  for (const double g : gradient) squares += g * g;
  return std::sqrt(squares);
}

/// Adam's rate, or a parameter that it moves, beyond float's range in double; nothing: there is none.
std::optional<std::string> parameter_beyond(const StepAtHand& at, const StepTrace<double>& trace,
                                            double norm) {
  const TrainingStepOptions& o = at.options;
  const double rate =
      at.rates.lr / (1 - std::pow(double{o.adam_beta1}, static_cast<double>(at.state.step + 1)));
  if (rate > FLT_MAX)
    return fmt::format(
        "in double, too, Adam's rate lr / (1 - beta1^t) is {:.3g}; a float holds at most {:.3g}", rate,
        FLT_MAX);
  const double scale = o.clip_norm > 0 && norm > o.clip_norm ? o.clip_norm / norm : 1.0;
  for (const ParameterEntry& entry : at.vae.table().entries()) {
    for (auto i = static_cast<std::size_t>(entry.offset);
         i < static_cast<std::size_t>(entry.offset + entry.size); ++i) {
      const auto after =
          reference::adam<double>({at.state.parameters.host()[i], at.state.m.host()[i], at.state.v.host()[i]},
                                  scale * trace.gradient[i], at.rates.lr, o.adam_beta1, o.adam_beta2,
                                  o.adam_epsilon, at.state.step + 1);
      if (std::abs(after.theta) <= FLT_MAX && std::abs(after.v) <= FLT_MAX) continue;
      return fmt::format(
          "in double, too, Adam moves {} to {:.3g} at rate {:.3g}; a float holds at most {:.3g}", entry.name,
          after.theta, at.rates.lr, FLT_MAX);
    }
  }
  return std::nullopt;
}

Values doubles(std::span<const float> values) { return {values.begin(), values.end()}; }

/// Of what part of the model there is no bound of the float step's errors; nothing: there is one. It supposes
/// that an element's gradients depend on its own outputs alone, as they do not under a softmax.
std::optional<std::string> not_bounded(const VaeConfig& config) {
  const LikelihoodFamily family = config.likelihood.family;
  if (family == LikelihoodFamily::kCategorical || family == LikelihoodFamily::kMultinomial)
    return "a softmax's likelihood";
  if (!config.above.empty()) return "several stochastic layers";
  return std::nullopt;
}

template <class T>
checks::ExpectedStep expected_step(const StepAtHand& at, const StepInput<double>& in) {
  return {in, doubles(at.state.m.host()), doubles(at.state.v.host()),
          std::is_same_v<T, float> ? checks::Storage::kFloat : checks::Storage::kBFloat16};
}

/// Where the float step is not what the double one allows; nothing: it is.
std::optional<std::string> difference(const checks::ExpectedStep& expected, const FloatStep& device) {
  checks::Parity parity;
  parity.begin_case("replay");
  expected.judge_totals(parity, device.totals);
  expected.judge_gradient(parity, device.gradient);
  if (parity.ok()) return std::nullopt;
  return fmt::format("float differs from double in {} of {} values, first {}", parity.failed(),
                     parity.compared(), parity.first_failure());
}

std::string first_words(const Examination& examination, const StepAtHand& at) {
  return examination.first ? "on the CPU " + describe(examination, at.rows) : describe(examination, at.rows);
}

}  // namespace

std::string name_of(Blame blame) {
  switch (blame) {
    case Blame::kData:
      return "data";
    case Blame::kState:
      return "state";
    case Blame::kModel:
      return "model";
    case Blame::kKernel:
      return "kernel";
    case Blame::kNothing:
      return "none";
  }
  return "none";
}

template <class T>
Verdict judge_step(const StepAtHand& at, const Examination& examination, const FloatStep& device) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (const auto bad = bad_data(at, examination.x)) return {Blame::kData, *bad, kNone, kNone};
  if (examination.first && examination.first->op == "state")
    return {Blame::kState, describe(examination, at.rows), kNone, kNone};
  const StepInput<double> in{
      &at.vae, &at.part, at.options, at.rows, at.state.step, doubles(at.state.parameters.host()), at.rates};
  const StepTrace<double> trace = reference::step(in);
  const auto verdict = [&](Blame blame, const std::string& why) {
    return Verdict{blame, why, trace.elbo / static_cast<double>(at.rows.size()), norm_of(trace.gradient)};
  };
  if (const auto beyond = RangeWalk(at, trace)()) return verdict(Blame::kModel, *beyond);
  const double norm = norm_of(trace.gradient);
  if (norm >= kGradientNormLimit)
    return verdict(
        Blame::kModel,
        fmt::format("in double, too, the gradient has a norm of {:.3g}; Adam's second moment has room in a "
                    "float below {:.3g}",
                    norm, kGradientNormLimit));
  if (const auto beyond = parameter_beyond(at, trace, norm)) return verdict(Blame::kModel, *beyond);
  if (!device.finite()) {
    if (const auto beyond = beyond_on_the_way(at, trace)) return verdict(Blame::kModel, *beyond);
    return verdict(Blame::kKernel,
                   "in double the whole step lies within float's range, in float it is not finite: " +
                       first_words(examination, at));
  }
  const auto no_further = [&](const std::string& reason) {
    return verdict(Blame::kNothing,
                   fmt::format("the step is finite here, and so it is in double (the two are "
                               "compared no further: {})",
                               reason));
  };
  if (const auto what = not_bounded(at.vae.config()))
    return no_further(fmt::format("how far float may be off is not known of {}", *what));
  const checks::ExpectedStep expected = expected_step<T>(at, in);
  if (expected.straddles_a_bound())
    return no_further("rounding decides on which side of its bound a log-variance is, and so its gradient");
  if (const auto wrong = difference(expected, device)) return verdict(Blame::kKernel, *wrong);
  return verdict(Blame::kNothing, "the step is finite here, and what the references in double say");
}

template Verdict judge_step<float>(const StepAtHand&, const Examination&, const FloatStep&);
template Verdict judge_step<BFloat16>(const StepAtHand&, const Examination&, const FloatStep&);

}  // namespace felbo
