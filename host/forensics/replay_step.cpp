#include "host/forensics/replay_step.h"

#include <fmt/format.h>

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
  RangeWalk(const StepAtHand& at, const StepTrace<double>& trace) : at_(at), t_(trace) {}

  std::optional<std::string> operator()() {
    const std::size_t S = static_cast<std::size_t>(at_.options.samples);
    forward(t_.encoder, "encoder", 1);
    look("z", t_.latent.z, S);
    look("the KL", t_.latent.kl, 1);
    forward(t_.decoder, "decoder", S);
    look("log p(x|z)", t_.likelihood.log_px_given_z, S);
    look("the gradient over the decoder's output", t_.likelihood.grad_output, S);
    look("the gradient of the likelihood's own parameters", t_.likelihood.grad_own, 0);
    backward(t_.decoder, "decoder", S);
    look("the gradient by mu", t_.grad_posterior.mu, 1);
    look("the gradient by log_var", t_.grad_posterior.log_var, 1);
    backward(t_.encoder, "encoder", 1);
    return found_;
  }

 private:
  using Layers = std::vector<reference::LayerTrace<double>>;

  /// `per_datum`: rows of `values` that a datum has; 0: rows are no data.
  void look(const std::string& what, const Values& values, std::size_t per_datum) {
    if (found_) return;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::abs(values[i]) <= FLT_MAX) continue;
      const std::string value = std::isnan(values[i]) ? "nan" : fmt::format("{:.3g}", values[i]);
      const std::size_t cols = per_datum == 0 ? 1 : values.size() / (at_.rows.size() * per_datum);
      const std::string row =
          per_datum == 0 ? ""
                         : fmt::format(" for row {} of the training data", at_.rows[i / cols / per_datum]);
      found_ =
          fmt::format("in double, too, {} is {}{}; a float holds at most {:.3g}", what, value, row, FLT_MAX);
      return;
    }
  }
  void forward(const Layers& layers, const std::string& name, std::size_t per_datum) {
    for (std::size_t l = 0; l < layers.size(); ++l)
      look(fmt::format("the output of {}.{} before its activation", name, l), layers[l].pre.value, per_datum);
  }
  void backward(const Layers& layers, const std::string& name, std::size_t per_datum) {
    for (std::size_t l = layers.size(); l-- > 0;) {
      look(fmt::format("the gradient of {}.{}.weight", name, l), layers[l].gradient.weight, 0);
      look(fmt::format("the gradient of {}.{}.bias", name, l), layers[l].gradient.bias, 0);
      if (l > 0)
        look(fmt::format("the gradient by the input of {}.{}", name, l), layers[l].gradient.x, per_datum);
    }
  }

  const StepAtHand& at_;
  const StepTrace<double>& t_;
  std::optional<std::string> found_;
};

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

/// Where the float step is not what the double one allows; nothing: it is. The bounds suppose that an
/// element's gradients depend on its own outputs alone, as they do not under a softmax.
template <class T>
std::optional<std::string> difference(const StepAtHand& at, const StepInput<double>& in,
                                      const FloatStep& device) {
  const checks::ExpectedStep expected(
      in, doubles(at.state.m.host()), doubles(at.state.v.host()),
      std::is_same_v<T, float> ? checks::Storage::kFloat : checks::Storage::kBFloat16);
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

void check_replayable(const VaeConfig& config) {
  FELBO_CHECK(
      config.posterior.family == PosteriorFamily::kDiagonalGaussian &&
          config.prior.family == PriorFamily::kStandardNormal && config.above.empty(),
      "replay takes a step by the references in double, which there are of --posterior diagonal-gaussian "
      "with "
      "--prior standard-normal and one stochastic layer; report.json in RUN/nonfinite names the op all the "
      "same");
}

template <class T>
Verdict judge_step(const StepAtHand& at, const Examination& examination, const FloatStep& device) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  check_replayable(at.vae.config());
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
  if (!device.finite())
    return verdict(Blame::kKernel,
                   "in double the whole step lies within float's range, in float it is not finite: " +
                       first_words(examination, at));
  const LikelihoodFamily family = at.vae.config().likelihood.family;
  if (family == LikelihoodFamily::kCategorical || family == LikelihoodFamily::kMultinomial)
    return verdict(
        Blame::kNothing,
        "the step is finite here, and so it is in double (of a softmax's likelihood the two are compared no "
        "further)");
  if (const auto wrong = difference<T>(at, in, device)) return verdict(Blame::kKernel, *wrong);
  return verdict(Blame::kNothing, "the step is finite here, and what the references in double say");
}

template Verdict judge_step<float>(const StepAtHand&, const Examination&, const FloatStep&);
template Verdict judge_step<BFloat16>(const StepAtHand&, const Examination&, const FloatStep&);

}  // namespace felbo
