#include "host/check/training_step_bound.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "host/check/running_error.h"

// Normals of which kernels' may be off.
template <>
felbo::checks::Computed felbo::reference::normal_as(const NoiseStream& noise, std::uint32_t datum,
                                                    std::uint32_t sample, std::uint32_t element) {
  const checks::ReferenceNormal n = checks::reference_normal(noise, datum, sample, element);
  return {n.value, n.tolerance};
}
template <>
felbo::reference::Traced<felbo::checks::Computed> felbo::reference::normal_as(const NoiseStream& noise,
                                                                              std::uint32_t datum,
                                                                              std::uint32_t sample,
                                                                              std::uint32_t element) {
  return normal_as<checks::Computed>(noise, datum, sample, element);
}

namespace felbo::checks {
namespace {

// A running error analysis to first order: each function takes bounds of the errors of its inputs and gives
// bounds of those of its outputs, which are what comes in, times the magnitude of the derivative, plus what
// the op itself may add: tolerance.h. These bounds let every rounding push the same way; errors in fact reach
// a fiftieth of them, so a quarter is allowed: tenfold room for other processors and blockings.
//
// Models other than the default ones have the part between their networks from the references themselves, run
// on numbers that carry their errors (running_error.h), of which all is allowed: there the order of additions
// is not the kernels', and what they do is known less closely.
//
// T = BFloat16 adds what storing does to each value that is stored in it: the parameters, x, each layer's
// output, z, and the gradients between layers. A parameter's rounding is the same in every row of a batch, so
// it does not average out as others do: half of the bound is allowed. Terms of second order, 2^-8 of the
// bounds, lie within that.

template <class T>
constexpr bool kRounds = !std::is_same_v<T, float>;
template <class T>
constexpr double kShare = kRounds<T> ? 0.5 : 0.25;

Values absolute(Values values) {
  for (double& v : values) v = std::abs(v);
  return values;
}

/// The larger of the two; infinite if the second is a NaN.
double larger(double a, double b) { return std::isnan(b) ? HUGE_VAL : std::max(a, b); }

bool is_default(const VaeConfig& c) {
  return c.posterior.family == PosteriorFamily::kDiagonalGaussian &&
         c.prior.family == PriorFamily::kStandardNormal;
}

/// How far f moves within value +- error.
template <class F>
double spread(const F& f, double value, double error) {
  const double at = f(value);
  return std::max(std::abs(f(value + error) - at), std::abs(f(value - error) - at));
}

template <class T>
Values storage_errors(Values values) {
  for (double& v : values) v = storage_error<T>(std::abs(v));
  return values;
}
Values sum_of(Values a, const Values& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}
/// Whether y alone tells the derivative: cuBLASLt has no epilogue with it, so y is made in place from the
/// stored value before it, and the gradient stored before it is multiplied.
bool is_in_place(Activation act) {
  return act == Activation::kTanh || act == Activation::kSoftplus || act == Activation::kSigmoid;
}

/// Values with their errors.
ComputedRow joined(const Values& values, std::span<const double> errors) {
  ComputedRow out;
  for (std::size_t i = 0; i < values.size(); ++i) out.emplace_back(values[i], errors[i]);
  return out;
}
Values errors_of(const ComputedRow& row) {
  Values out;
  for (const Computed& c : row) out.push_back(c.error);
  return out;
}

using Layers = std::vector<reference::LayerTrace<double>>;

/// The errors of a perceptron's layers: of their inputs, and of their values before the activation.
struct MlpErrors {
  std::vector<Values> x, pre;
};

/// T: how products' operands are stored; Result: the last layer's output.
template <class T, class Result>
MlpErrors forward_errors(const Layers& layers, Values x, int rows) {
  MlpErrors errors;
  for (const auto& layer : layers) {
    errors.x.push_back(x);
    const bool last = &layer == &layers.back();
    const Values none(std::size_t(layer.out));
    const Values bias = last ? storage_errors<Result>(layer.bias) : storage_errors<T>(layer.bias);
    Values pre = sum_of(reference::affine(x, absolute(layer.weight), none, rows, layer.in, layer.out).value,
                        reference::affine(sum_of(absolute(layer.x), x), storage_errors<T>(layer.weight), bias,
                                          rows, layer.in, layer.out)
                            .value);
    x.clear();
    for (std::size_t i = 0; i < pre.size(); ++i) {
      const double value = layer.pre.value[i];
      pre[i] += product_k(layer.in) * kEps * layer.pre.magnitude[i];
      const auto act = [&](double v) { return reference::activation(layer.activation, v); };
      double own = layer.activation == Activation::kIdentity ? 0.0 : activated_tolerance(0.0, act(value));
      // In bfloat16 gelu is cuBLASLt's, with a tanh within 2^-11.
      if (kRounds<T> && layer.activation == Activation::kGelu) own += 0x1p-12 * std::abs(value);
      if (is_in_place(layer.activation)) pre[i] += storage_error<T>(std::abs(value) + pre[i]);
      const double moved = spread(act, value, pre[i]) + own;
      const double at = std::abs(act(value)) + moved;
      x.push_back(moved + (last ? storage_error<Result>(at) : storage_error<T>(at)));
      // The derivative reads gelu's value before the activation as it is kept.
      if (layer.activation == Activation::kGelu) pre[i] += storage_error<T>(std::abs(value) + pre[i]);
    }
    errors.pre.push_back(pre);
  }
  errors.x.push_back(x);  // of the result
  return errors;
}

/// Puts the errors of the layers' gradients into `flat` and returns that of the input's.
template <class T>
Values backward_errors(const Layers& layers, const MlpErrors& forward, Values grad_y, int rows,
                       Values& flat) {
  for (std::size_t l = layers.size(); l-- > 0;) {
    const auto& layer = layers[l];
    const Values weight = absolute(layer.weight);
    const auto from_above =
        reference::affine_gradient(absolute(layer.x), weight, grad_y, rows, layer.in, layer.out);
    const auto from_below =
        reference::affine_gradient(forward.x[l], weight, absolute(layer.grad_y), rows, layer.in, layer.out);
    for (std::size_t i = 0; i < layer.weight.size(); ++i) {
      flat[std::size_t(layer.weight_entry.offset) + i] =
          from_above.weight[i] + from_below.weight[i] +
          product_k(rows) * kEps * layer.gradient.weight_magnitude[i];
    }
    for (std::size_t i = 0; i < layer.bias.size(); ++i) {
      flat[std::size_t(layer.bias_entry.offset) + i] =
          from_above.bias[i] + product_k(rows) * kEps * layer.gradient.bias_magnitude[i];
    }
    const auto from_weight = reference::affine_gradient(absolute(layer.x), storage_errors<T>(layer.weight),
                                                        absolute(layer.grad_y), rows, layer.in, layer.out);
    grad_y = sum_of(from_above.x, from_weight.x);
    for (std::size_t i = 0; i < grad_y.size(); ++i) {
      grad_y[i] += product_k(layer.out) * kEps * layer.gradient.x_magnitude[i];
      if (l == 0) {
        grad_y[i] += storage_error<T>(std::abs(layer.gradient.x[i]) + grad_y[i]);
        continue;
      }
      const Activation below = layers[l - 1].activation;
      if (is_in_place(below)) grad_y[i] += storage_error<T>(std::abs(layer.gradient.x[i]) + grad_y[i]);
      // The slope is taken from a rounded value, and moves with that value's error.
      const auto slope = [&](double v) { return reference::activation_derivative(below, v); };
      const double value = layers[l - 1].pre.value[i];
      double slope_error = spread(slope, value, forward.pre[l - 1][i]) + kSlopeError;
      // As in dense_test.cpp: by the stored y, and by gelu's tanh.
      if (kRounds<T> && is_in_place(below)) slope_error += 0x1p-8;
      if (kRounds<T> && below == Activation::kGelu) slope_error += 8 * 0x1p-11;
      grad_y[i] = grad_y[i] * std::abs(slope(value)) + std::abs(layer.gradient.x[i]) * slope_error;
      grad_y[i] += storage_error<T>(std::abs(layer.gradient.x[i] * slope(value)) + grad_y[i]);
    }
  }
  return grad_y;
}

struct StepErrors {
  Values gradient;  // (P)
  double log_px_given_z = 0, kl = 0, bound = 0;
  bool straddles = false;  // whether a log-variance may lie on either side of a bound
};

/// The part between the networks of models other than the default ones: its references run on numbers that
/// carry their errors, there and back. In float.
class LatentErrors {
 public:
  LatentErrors(const reference::StepInput<double>& in, const reference::StepTrace<double>& trace,
               const Values& encoded)
      : in_{.vae = in.vae, .options = in.options, .rows = in.rows, .step = in.step, .rates = in.rates} {
    in_.parameters.assign(in.parameters.begin(), in.parameters.end());
    const std::span<const double> all(encoded);
    t_.posterior = joined(trace.posterior, all);
    t_.pseudo = joined(trace.pseudo, all.subspan(trace.posterior.size()));
    t_.kl_weight.assign(trace.kl_weight.begin(), trace.kl_weight.end());
    t_.gradient.resize(in_.parameters.size());
    t_.largest.resize(in.rows.size());
    terms_ = reference::latent_of(in_).terms<Computed>({t_.posterior, t_.pseudo, in_.parameters});
  }

  const reference::LatentTermsOf<Computed>& terms() const { return terms_; }
  /// Of log p(z) - log q(z|x) of row r, each a float.
  double density_error(std::size_t r) const {
    return rounded(terms_.log_pz[r]).error + rounded(terms_.log_qz[r]).error;
  }
  /// Whether a log-variance is within its error of a bound, where its gradient jumps.
  bool straddles() const {
    const LogVarClamp& clamp = in_.vae->config().clamp;
    const auto near = [&](const Computed& v) {
      return std::abs(v.value - double{clamp.lo}) <= v.error ||
             std::abs(v.value - double{clamp.hi}) <= v.error;
    };
    const VaeConfig& c = in_.vae->config();
    const auto E = static_cast<std::size_t>(c.posterior.outputs(c.latent)),
               Z = static_cast<std::size_t>(c.latent);
    const std::size_t count = c.posterior.family == PosteriorFamily::kIsotropicGaussian ? 1 : Z;
    for (std::size_t i = 0; i < t_.posterior.size(); ++i)
      if (i % E >= Z && i % E < Z + count && near(t_.posterior[i])) return true;
    for (std::size_t i = 0; i < t_.pseudo.size(); ++i)
      if (i % (2 * Z) >= Z && near(t_.pseudo[i])) return true;
    return false;
  }
  /// From the gradient by the code to that by what the encoder gives, behind the batch by pseudo-inputs; and
  /// into `flat` that of the prior's own parameters.
  Values backward(const ComputedRow& weight, const ComputedRow& grad_code, Values& flat) {
    t_.weight = weight;
    reference::draw_backward(in_, t_, grad_code);
    for (const ParameterEntry& entry : reference::latent_of(in_).prior_entries()) {
      for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i)
        flat[std::size_t(i)] = t_.gradient[std::size_t(i)].error;
    }
    Values out = errors_of(t_.grad_posterior);
    for (const Computed& g : t_.grad_pseudo) out.push_back(g.error);
    return out;
  }

 private:
  reference::StepInput<Computed> in_;
  reference::StepTrace<Computed> t_;
  reference::LatentTermsOf<Computed> terms_;
};

template <class T>
class ErrorAnalysis {
 public:
  ErrorAnalysis(const reference::StepInput<double>& in, const reference::StepTrace<double>& trace)
      : in_(in),
        t_(trace),
        config_(in.vae->config()),
        B_(static_cast<int>(in.rows.size())),
        S_(in.options.samples),
        Z_(static_cast<int>(config_.latent)) {
    out_.gradient.resize(in.parameters.size());
  }

  StepErrors operator()() {
    const int encoded = B_ + static_cast<int>(in_.vae->pseudo_rows());
    const MlpErrors encoder = forward_errors<T, float>(t_.encoder, input_errors(), encoded);
    if (!is_default(config_)) {
      any_latent(encoder, encoded);
      return out_;
    }
    take_posterior(encoder.x.back());
    const MlpErrors decoder = forward_errors<T, T>(t_.decoder, latent(), B_ * S_);
    const Values grad_output = likelihood(decoder.x.back());
    const Values grad_z = backward_errors<T>(t_.decoder, decoder, grad_output, B_ * S_, out_.gradient);
    backward_errors<T>(t_.encoder, encoder, posterior_gradient(grad_z), B_, out_.gradient);
    return out_;
  }

 private:
  /// The rest of a step with another posterior or prior.
  void any_latent(const MlpErrors& encoder, int encoded) {
    latent_.emplace(in_, t_, encoder.x.back());
    out_.straddles = latent_->straddles();
    for (const Computed& kl : latent_->terms().kl) out_.kl += rounded(kl).error;
    const MlpErrors decoder = forward_errors<T, T>(t_.decoder, errors_of(latent_->terms().code), B_ * S_);
    const Values grad_output = likelihood(decoder.x.back());
    const Values grad_z = backward_errors<T>(t_.decoder, decoder, grad_output, B_ * S_, out_.gradient);
    Values weight;
    for (std::size_t r = 0; r < t_.weight.size(); ++r) weight.push_back(t_.weight[r] * (weight_[r] + kEps));
    const Values grad_encoded =
        latent_->backward(joined(t_.weight, weight), joined(t_.grad_z, grad_z), out_.gradient);
    const Values grad_input = backward_errors<T>(t_.encoder, encoder, grad_encoded, encoded, out_.gradient);
    if (encoded == B_) return;
    std::copy(grad_input.begin() + B_ * config_.dimensions, grad_input.end(),
              out_.gradient.begin() + reference::entry_of(*in_.vae, "prior.pseudo_inputs").offset);
  }

  /// Of what the encoder reads: x is exact, a logarithm of counts within 2 ulp.
  Values input_errors() const {
    const Values& input = t_.encoder.front().x;
    Values errors = storage_errors<T>(input);
    if (in_.vae->reads_log_counts()) {
      for (std::size_t i = 0; i < errors.size(); ++i) errors[i] += 2 * kEps * std::abs(input[i]);
    }
    return errors;
  }
  double mu(int b, int d) const { return t_.posterior[std::size_t(2 * b) * Z_ + d]; }
  double raw_log_var(int b, int d) const { return t_.posterior[std::size_t(2 * b + 1) * Z_ + d]; }
  double log_var(int b, int d) const {
    return std::clamp<double>(raw_log_var(b, d), config_.clamp.lo, config_.clamp.hi);
  }
  std::size_t at(int b, int d) const { return std::size_t(b) * Z_ + d; }
  ReferenceNormal eps(int b, int s, int d) const {
    const NoiseStream noise{in_.options.seed, static_cast<std::uint32_t>(in_.step), Purpose::kLatent};
    return reference_normal(noise, in_.rows[std::size_t(b)], static_cast<std::uint32_t>(s),
                            static_cast<std::uint32_t>(d));
  }

  void take_posterior(const Values& errors) {
    for (int b = 0; b < B_; ++b) {
      for (int d = 0; d < Z_; ++d) {
        const double m = mu(b, d), v = log_var(b, d);
        mu_.push_back(errors[std::size_t(2 * b) * Z_ + d]);
        log_var_.push_back(errors[std::size_t(2 * b + 1) * Z_ + d]);
        out_.kl += std::abs(m) * mu_.back() + std::abs(std::exp(v) - 1) / 2 * log_var_.back() +
                   row_k(Z_) * kEps * (m * m + std::exp(v) + std::abs(v) + 1);
      }
    }
  }

  Values latent() const {
    Values z;
    for (int b = 0; b < B_; ++b) {
      for (int s = 0; s < S_; ++s) {
        for (int d = 0; d < Z_; ++d) {
          z.push_back(drawn_error(b, s, d));
          z.back() += storage_error<T>(std::abs(t_.latent.z[z.size() - 1]) + z.back());
        }
      }
    }
    return z;
  }

  /// Also fills in log p(x|z) and the gradient of the family's own parameters.
  Values likelihood(const Values& output) {
    const auto& want = t_.likelihood;
    const int X = static_cast<int>(config_.dimensions);
    const auto even = reference::likelihood(config_.likelihood, t_.likelihood_input);
    take_weight_errors(even, output);
    // The gradients are functions of one or two outputs of the same element: how far they move within them.
    Values errors(output.size());
    const std::size_t outputs = output.size() / t_.weight.size();
    for (const double first : {-1.0, 1.0}) {
      for (const double second : {-1.0, 1.0}) {
        auto moved = t_.likelihood_input;
        for (std::size_t i = 0; i < output.size(); ++i)
          moved.output[i] += (i / X % config_.likelihood.outputs() == 0 ? first : second) * output[i];
        const auto there = reference::likelihood(config_.likelihood, moved);
        for (std::size_t i = 0; i < output.size(); ++i)
          errors[i] = larger(errors[i],
                             t_.weight[i / outputs] * std::abs(there.grad_output[i] - even.grad_output[i]));
      }
    }
    for (std::size_t i = 0; i < errors.size(); ++i) {
      errors[i] += (kOutputGradientK * kEps + weight_[i / outputs]) * want.grad_scale[i];
      errors[i] += storage_error<T>(std::abs(want.grad_output[i]) + errors[i]);
    }
    // The gradient of a log-variance that elements share moves with that of the outputs.
    for (std::size_t i = 0; !want.grad_own.empty() && i < output.size(); ++i)
      own_error(i % X % want.grad_own.size()) += std::abs(want.grad_output[i]) * output[i];
    const double weights = *std::ranges::max_element(weight_);
    for (std::size_t i = 0; i < want.grad_own.size(); ++i)
      own_error(i) += (own_k(config_.likelihood, X) * kEps + weights) * want.grad_own_scale[i];
    return errors;
  }

  /// Of log p(x|z), which moves with its gradient, and of the importance weights, relative to them: those of
  /// the log-weights of the datum, and those of a weight itself (objective_math.h).
  void take_weight_errors(const reference::LikelihoodOutcome<double>& even, const Values& output) {
    const std::size_t outputs = output.size() / t_.weight.size(), S = std::size_t(S_);
    const double k = log_px_k(config_.likelihood, static_cast<int>(config_.dimensions));
    Values log_w;
    for (std::size_t r = 0; r < t_.weight.size(); ++r) {
      double error = k * kEps * even.log_px_scale[r];
      for (std::size_t i = r * outputs; i < (r + 1) * outputs; ++i)
        error += std::abs(even.grad_output[i]) * B_ * output[i];
      out_.log_px_given_z += error / S_;
      log_w.push_back(error + density_error(static_cast<int>(r)));
    }
    weight_.assign(t_.weight.size(), 0.0);
    if (!has_importance_weights(in_.options.objective)) return;
    for (std::size_t r = 0; r < t_.weight.size(); ++r) {
      const auto first = log_w.begin() + static_cast<std::int64_t>(r / S * S);
      const double largest = *std::max_element(first, first + S_);
      weight_[r] = log_w[r] + largest + kEps * (4 + std::min(100.0, -std::log(t_.weight[r])));
      if (r % S == 0) out_.bound += largest;
    }
  }

  /// Of log p(z) - log q(z|x) of row r.
  double density_error(int r) const {
    if (latent_) return latent_->density_error(std::size_t(r));
    double error = 0, scale = 0;
    for (int d = 0; d < Z_; ++d) {
      const int b = r / S_;
      const auto [e, of_eps] = eps(b, r % S_, d);
      const double z = t_.latent.z[std::size_t(r) * Z_ + d], v = log_var(b, d);
      error += std::abs(z) * drawn_error(b, r % S_, d) + std::abs(e) * of_eps + log_var_[at(b, d)] / 2;
      scale += 3.68 + z * z + std::abs(v) + e * e;
    }
    return error + row_k(Z_) * kEps * scale;
  }

  /// Of z as it is drawn, before it is stored.
  double drawn_error(int b, int s, int d) const {
    const double sigma = std::exp(log_var(b, d) / 2);
    const auto [e, error] = eps(b, s, d);
    return mu_[at(b, d)] + sigma * std::abs(e) / 2 * log_var_[at(b, d)] +
           sample_tolerance(mu(b, d), sigma, e, error);
  }
  double& own_error(std::size_t i) {
    return out_.gradient[std::size_t(reference::entry_of(*in_.vae, "likelihood.log_var").offset) + i];
  }

  Values posterior_gradient(const Values& grad_z) const {
    Values errors(std::size_t(2) * B_ * Z_);
    for (int b = 0; b < B_; ++b) {
      for (int d = 0; d < Z_; ++d) {
        if (in_.options.objective != TrainingObjective::kElbo) {
          sample_gradient(grad_z, b, d, errors);
          continue;
        }
        const double kl_scale = in_.rates.beta / B_ * t_.kl_weight[std::size_t(d)];
        const double v = log_var(b, d), sigma = std::exp(v / 2);
        double sum_mu = kl_scale * std::abs(mu(b, d)), sum_v = kl_scale * (std::exp(v) + 1);
        double in_mu = kl_scale * mu_[at(b, d)], in_v = 0, slope = kl_scale * std::exp(v) / 2;
        for (int s = 0; s < S_; ++s) {
          const std::size_t r = (std::size_t(b) * S_ + s) * Z_ + d;
          const auto [signed_e, error] = eps(b, s, d);
          const double g = std::abs(t_.grad_z[r]), e = std::abs(signed_e);
          sum_mu += g, sum_v += g * e * sigma;
          in_mu += grad_z[r], in_v += (grad_z[r] * e + g * error) * sigma / 2;
          slope += g * e * sigma / 4;
        }
        const bool inside = v == raw_log_var(b, d);
        errors[std::size_t(2 * b) * Z_ + d] = in_mu + samples_k(S_) * kEps * sum_mu;
        errors[std::size_t(2 * b + 1) * Z_ + d] =
            inside ? in_v + slope * log_var_[at(b, d)] + samples_k(S_) * kEps * sum_v : 0.0;
      }
    }
    for (std::size_t i = 0; i < errors.size(); ++i)
      errors[i] += storage_error<T>(std::abs(t_.grad_posterior[i]) + errors[i]);
    return errors;
  }

  /// The same for dimension d of datum b where the gradient is estimated by samples: g = grad_z + c w z, or
  /// with z - eps / sigma for z, and w times that.
  void sample_gradient(const Values& grad_z, int b, int d, Values& errors) const {
    const PosteriorGradient kind = felbo::posterior_gradient(in_.options.objective);
    const bool total = kind == PosteriorGradient::kMonteCarlo;
    const double c = in_.rates.beta / B_, v = log_var(b, d), sigma = std::exp(v / 2);
    double in_mu = 0, in_v = total ? kEps * c : 0.0, sum_mu = 0, sum_v = total ? c : 0.0;
    for (int s = 0; s < S_; ++s) {
      const std::size_t row = std::size_t(b) * S_ + s, r = row * Z_ + d;
      const auto [e, of_eps] = eps(b, s, d);
      const double w = t_.weight[row], z = mu(b, d) + sigma * e;
      const double slope = total ? std::abs(z) : std::abs(z) + std::abs(e) / sigma;
      const double by_scale = total ? 0.0 : (std::abs(e) / 2 * log_var_[at(b, d)] + of_eps) / sigma;
      double g = std::abs(t_.grad_z[r]) + c * w * slope;
      double error =
          grad_z[r] + c * w * (drawn_error(b, s, d) + by_scale + (weight_[row] + 4 * kEps) * slope);
      if (kind == PosteriorGradient::kDoublyReparameterized) {
        error = w * (error + weight_[row] * g);
        g *= w;
      }
      in_mu += error, sum_mu += g, sum_v += g * std::abs(e) * sigma;
      in_v +=
          (error * std::abs(e) + g * of_eps) * sigma / 2 + g * std::abs(e) * sigma / 4 * log_var_[at(b, d)];
    }
    errors[std::size_t(2 * b) * Z_ + d] = in_mu + samples_k(S_) * kEps * sum_mu;
    errors[std::size_t(2 * b + 1) * Z_ + d] =
        v == raw_log_var(b, d) ? in_v + samples_k(S_) * kEps * sum_v : 0.0;
  }

  const reference::StepInput<double>& in_;
  const reference::StepTrace<double>& t_;
  const VaeConfig& config_;
  int B_, S_, Z_;
  Values mu_, log_var_;
  Values weight_;                       // (B S) of the samples' weights, relative to them
  std::optional<LatentErrors> latent_;  // of models other than the default ones
  StepErrors out_;
};

}  // namespace

ExpectedStep::ExpectedStep(const reference::StepInput<double>& in, const Values& m, const Values& v,
                           Storage storage)
    : vae_(in.vae), count_(static_cast<std::int64_t>(in.rows.size())), want_(reference::step(in)) {
  const bool rounds = storage == Storage::kBFloat16;
  const StepErrors errors = rounds ? ErrorAnalysis<BFloat16>(in, want_)() : ErrorAnalysis<float>(in, want_)();
  const double share = !is_default(in.vae->config()) ? 1.0 : rounds ? kShare<BFloat16> : kShare<float>;
  straddles_ = errors.straddles;
  const AdamOptions adam{static_cast<float>(in.rates.lr), in.options.adam_beta1, in.options.adam_beta2,
                         in.options.adam_epsilon};
  for (std::size_t i = 0; i < in.parameters.size(); ++i) {
    const double error = larger(0.0, share * errors.gradient[i]);
    adam_.push_back(adam_bound({in.parameters[i], m[i], v[i]}, want_.gradient[i], error, adam, in.step + 1));
    gradient_tolerance_.push_back(error + FLT_MIN);
  }
  log_px_tolerance_ = larger(0.0, share * errors.log_px_given_z) + kEps * std::abs(want_.log_px_given_z);
  kl_tolerance_ = larger(0.0, share * errors.kl);
  bound_tolerance_ =
      larger(0.0, share * errors.bound) + kEps * (std::abs(want_.bound) + 4 * static_cast<double>(count_));
}

void ExpectedStep::judge_gradient(Parity& parity, const std::vector<float>& gradient) const {
  const View<const float, 1> flat{gradient.data(), vae_->table().size()};
  for (const ParameterEntry& entry : vae_->table().entries()) {
    parity.compare("gradient of " + entry.name, vector_of(flat, entry),
                   reference::tensor_of(want_.gradient, entry),
                   reference::tensor_of(gradient_tolerance_, entry));
  }
}

void ExpectedStep::judge_state(Parity& parity, const Values& parameters, const Values& m,
                               const Values& v) const {
  for (std::size_t i = 0; i < adam_.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    const AdamBound& bound = adam_[i];
    parity.element("parameter", 0, at, parameters[i], bound.want.theta, bound.theta);
    parity.element("m", 0, at, m[i], bound.want.m, bound.m);
    parity.element("v", 0, at, v[i], bound.want.v, bound.v);
  }
}

void ExpectedStep::judge_totals(Parity& parity, const TrainingTotals& got) const {
  parity.element("log_px_given_z", 0, 0, got.log_px_given_z, want_.log_px_given_z, log_px_tolerance_);
  parity.element("kl", 0, 0, got.kl, want_.kl, kl_tolerance_);
  // The ELBO: a difference of the two, rounded to float for each datum.
  parity.element("elbo", 0, 0, got.elbo, want_.elbo,
                 log_px_tolerance_ + kl_tolerance_ + kEps * (std::abs(want_.log_px_given_z) + want_.kl));
  parity.element("bound", 0, 0, got.bound, want_.bound, bound_tolerance_);
  parity.element("count", 0, 0, static_cast<double>(got.count), static_cast<double>(count_), 0);
  parity.element("clamped", 0, 0, static_cast<double>(got.clamped), static_cast<double>(want_.clamped), 0);
}

}  // namespace felbo::checks
