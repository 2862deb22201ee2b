#include "host/train/training_step.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cfloat>
#include <functional>
#include <numeric>

#include "host/train/training_step_reference.h"
#include "tests/harness/parity.h"

namespace felbo {
namespace {

using test::kEps;
using test::Parity;
using Values = std::vector<double>;

// --- The models and data that steps are taken on

constexpr std::int64_t kDataRows = 13, kDimensions = 19, kLatent = 3, kBatch = 7;

struct Case {
  std::vector<std::int64_t> hidden;
  Activation activation = Activation::kRelu;
  std::string likelihood = "bernoulli", variance = "learned";
  int samples = 1;
  float beta = 1.0f;
  Binarize binarize = Binarize::kNone;
  LogVarClamp clamp;
};

std::string label(const Case& c) {
  return fmt::format("{} {} {} layers {} S {} beta {} binarize {}", c.likelihood, c.variance, c.hidden.size(),
                     name_of(c.activation), c.samples, c.beta, static_cast<int>(c.binarize));
}

/// Bytes for a Bernoulli, normals for a Gaussian.
DataPart data_of(const Case& c) {
  DataPart part{
      .rows = kDataRows, .cols = kDimensions, .shape = {}, .bytes = {}, .floats = {}, .exact_log_px = {}};
  std::vector<float> values(kDataRows * kDimensions);
  test::fill_normal({values.data(), kDataRows, kDimensions}, 7);
  if (c.likelihood == "gaussian") {
    part.floats = values;
  } else {
    for (const float v : values)
      part.bytes.push_back(static_cast<std::uint8_t>(std::clamp(v * 90 + 128, 0.0f, 255.0f)));
  }
  return part;
}

Vae vae_of(const Case& c) {
  return Vae({.dimensions = kDimensions,
              .latent = kLatent,
              .hidden = c.hidden,
              .activation = c.activation,
              .likelihood = likelihood_from_names(c.likelihood, c.variance, c.clamp),
              .clamp = c.clamp});
}

/// Every parameter a normal: weights by 1 / sqrt(in), the rest by 0.4; the padding stays 0.
void fill_parameters(const Vae& vae, View<float, 1> flat) {
  std::uint64_t seed = 100;
  for (const ParameterEntry& entry : vae.table().entries()) {
    const float scale = entry.shape.size() == 2 ? 1.0f / std::sqrt(static_cast<float>(entry.shape[0])) : 0.4f;
    test::fill_normal(matrix_of(flat, entry), ++seed, scale);
  }
}

void initialise(const test::ExecType& exec, const Vae& vae, ModelState<test::ExecType>& state) {
  std::vector<float> flat(static_cast<std::size_t>(vae.table().size()));
  fill_parameters(vae, {flat.data(), vae.table().size()});
  upload(exec, flat, state.parameters.view());
}

/// One step on `rows`.
void take(TrainingStep<test::ExecType>& step, const std::vector<std::uint32_t>& rows) {
  step.begin(rows, std::vector{1e-3});
  step();
}

// --- Bounds of the rounding errors
//
// A running error analysis to first order: each function takes bounds of the errors of its inputs and gives
// bounds of those of its outputs, which are what comes in, times the magnitude of the derivative, plus what
// the op itself may add: the tolerances of the op's own parity test. These bounds let every rounding push the
// same way; errors in fact reach a fiftieth of them, so a quarter is allowed: tenfold room for other
// processors and blockings.

constexpr double kShare = 0.25;

/// As in dense_test.cpp: roundings of a sum of n products, in units of the sum of magnitudes.
double product_k(int n) { return 8 + n / 16.0; }

Values absolute(Values values) {
  for (double& v : values) v = std::abs(v);
  return values;
}

/// How far f moves within value +- error.
template <class F>
double spread(const F& f, double value, double error) {
  const double at = f(value);
  return std::max(std::abs(f(value + error) - at), std::abs(f(value - error) - at));
}

using Layers = std::vector<reference::LayerTrace<double>>;

/// The errors of a perceptron's layers: of their inputs, and of their values before the activation.
struct MlpErrors {
  std::vector<Values> x, pre;
};

MlpErrors forward_errors(const Layers& layers, Values x, int rows) {
  MlpErrors errors;
  for (const auto& layer : layers) {
    errors.x.push_back(x);
    const Values none(std::size_t(layer.out));
    Values pre = reference::affine(x, absolute(layer.weight), none, rows, layer.in, layer.out).value;
    x.clear();
    for (std::size_t i = 0; i < pre.size(); ++i) {
      pre[i] += product_k(layer.in) * kEps * layer.pre.magnitude[i];
      const auto act = [&](double v) { return reference::activation(layer.activation, v); };
      const double own = layer.activation == Activation::kIdentity
                             ? 0.0
                             : 4 * kEps * std::max(1.0, std::abs(act(layer.pre.value[i])));
      x.push_back(spread(act, layer.pre.value[i], pre[i]) + own);
    }
    errors.pre.push_back(pre);
  }
  errors.x.push_back(x);  // of the result
  return errors;
}

/// Puts the errors of the layers' gradients into `flat` and returns that of the input's.
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
    grad_y = from_above.x;
    for (std::size_t i = 0; i < grad_y.size(); ++i) {
      grad_y[i] += product_k(layer.out) * kEps * layer.gradient.x_magnitude[i];
      if (l == 0) continue;
      // The slope is taken from a rounded value: 8 eps, as in dense_test.cpp, and what the value's error
      // does.
      const auto slope = [&](double v) {
        return reference::activation_derivative(layers[l - 1].activation, v);
      };
      const double value = layers[l - 1].pre.value[i];
      grad_y[i] = grad_y[i] * std::abs(slope(value)) +
                  std::abs(layer.gradient.x[i]) * (spread(slope, value, forward.pre[l - 1][i]) + 8 * kEps);
    }
  }
  return grad_y;
}

struct StepErrors {
  Values gradient;  // (P)
  double log_px_given_z = 0, kl = 0;
};

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
    const MlpErrors encoder = forward_errors(t_.encoder, Values(t_.likelihood_input.x.size()), B_);
    take_posterior(encoder.x.back());
    const MlpErrors decoder = forward_errors(t_.decoder, latent(), B_ * S_);
    const Values grad_output = likelihood(decoder.x.back());
    const Values grad_z = backward_errors(t_.decoder, decoder, grad_output, B_ * S_, out_.gradient);
    backward_errors(t_.encoder, encoder, posterior_gradient(grad_z), B_, out_.gradient);
    return out_;
  }

 private:
  static constexpr double kNoiseError = 3e-6;  // of eps itself: noise_test.cpp

  double log_var(int b, int d) const {
    return std::clamp<double>(t_.log_var[at(b, d)], config_.clamp.lo, config_.clamp.hi);
  }
  std::size_t at(int b, int d) const { return std::size_t(b) * Z_ + d; }
  double eps(int b, int s, int d) const { return reference::latent_noise(in_)(b, s, d); }

  void take_posterior(const Values& errors) {
    for (int b = 0; b < B_; ++b) {
      for (int d = 0; d < Z_; ++d) {
        const double m = t_.mu[at(b, d)], v = log_var(b, d);
        mu_.push_back(errors[std::size_t(2 * b) * Z_ + d]);
        log_var_.push_back(errors[std::size_t(2 * b + 1) * Z_ + d]);
        out_.kl += std::abs(m) * mu_.back() + std::abs(std::exp(v) - 1) / 2 * log_var_.back() +
                   (8 + Z_ / 16.0) * kEps * (m * m + std::exp(v) + std::abs(v) + 1);
      }
    }
  }

  Values latent() const {
    Values z;
    for (int b = 0; b < B_; ++b) {
      for (int s = 0; s < S_; ++s) {
        for (int d = 0; d < Z_; ++d) {
          const double sigma = std::exp(log_var(b, d) / 2), e = std::abs(eps(b, s, d));
          z.push_back(mu_[at(b, d)] + sigma * e / 2 * log_var_[at(b, d)] + sigma * kNoiseError +
                      4 * kEps * (std::abs(t_.mu[at(b, d)]) + sigma * (e + 1)));
        }
      }
    }
    return z;
  }

  /// Also fills in log p(x|z) and the gradient of the family's own parameters.
  Values likelihood(const Values& output) {
    const auto& want = t_.likelihood;
    const int X = static_cast<int>(config_.dimensions);
    // The gradients are functions of one or two outputs of the same element: how far they move within them.
    Values errors(output.size());
    for (const double first : {-1.0, 1.0}) {
      for (const double second : {-1.0, 1.0}) {
        auto moved = t_.likelihood_input;
        for (std::size_t i = 0; i < output.size(); ++i)
          moved.output[i] += (i / X % config_.likelihood.outputs() == 0 ? first : second) * output[i];
        const auto there = reference::likelihood(config_.likelihood, moved);
        for (std::size_t i = 0; i < output.size(); ++i)
          errors[i] = std::max(errors[i], std::abs(there.grad_output[i] - want.grad_output[i]));
      }
    }
    for (std::size_t i = 0; i < errors.size(); ++i) errors[i] += 6 * kEps * want.grad_scale[i];
    // log p moves with its gradient; so does the gradient of a log-variance that elements share.
    const double sum_k = 10 + X / 32.0;
    for (std::size_t i = 0; i < output.size(); ++i) {
      const double moved = std::abs(want.grad_output[i]) * output[i];
      out_.log_px_given_z += moved * B_;
      if (!want.grad_own.empty()) own_error(i % X % want.grad_own.size()) += moved;
    }
    for (const double scale : want.log_px_scale) out_.log_px_given_z += sum_k * kEps * scale / S_;
    for (std::size_t i = 0; i < want.grad_own.size(); ++i)
      own_error(i) += (sum_k + 16) * kEps * want.grad_own_scale[i];
    return errors;
  }
  double& own_error(std::size_t i) {
    return out_.gradient[std::size_t(reference::entry_of(*in_.vae, "likelihood.log_var").offset) + i];
  }

  Values posterior_gradient(const Values& grad_z) const {
    const double kl_scale = in_.options.beta / B_;
    Values errors(std::size_t(2) * B_ * Z_);
    for (int b = 0; b < B_; ++b) {
      for (int d = 0; d < Z_; ++d) {
        const double v = log_var(b, d), sigma = std::exp(v / 2);
        double sum_mu = kl_scale * std::abs(t_.mu[at(b, d)]), sum_v = kl_scale * (std::exp(v) + 1);
        double in_mu = kl_scale * mu_[at(b, d)], in_v = 0, slope = kl_scale * std::exp(v) / 2;
        for (int s = 0; s < S_; ++s) {
          const std::size_t r = (std::size_t(b) * S_ + s) * Z_ + d;
          const double g = std::abs(t_.grad_z[r]), e = std::abs(eps(b, s, d));
          sum_mu += g, sum_v += g * e * sigma;
          in_mu += grad_z[r], in_v += (grad_z[r] * e + g * kNoiseError) * sigma / 2;
          slope += g * e * sigma / 4;
        }
        const bool inside = v == t_.log_var[at(b, d)];
        errors[std::size_t(2 * b) * Z_ + d] = in_mu + (S_ + 6) * kEps * sum_mu;
        errors[std::size_t(2 * b + 1) * Z_ + d] =
            inside ? in_v + slope * log_var_[at(b, d)] + (S_ + 6) * kEps * sum_v : 0.0;
      }
    }
    return errors;
  }

  const reference::StepInput<double>& in_;
  const reference::StepTrace<double>& t_;
  const VaeConfig& config_;
  int B_, S_, Z_;
  Values mu_, log_var_;
  StepErrors out_;
};

// --- The comparison

/// Adam's outcome for a gradient known within `error`, and how far each part may be off.
struct AdamBound {
  reference::AdamState<double> want;
  double theta, m, v;
};
AdamBound adam_bound(const reference::AdamState<double>& s, double g, double error, double lr,
                     const TrainingStepOptions& o, std::int64_t t) {
  const auto at = [&](double gradient) {
    return reference::adam<double>(s, gradient, lr, o.adam_beta1, o.adam_beta2, o.adam_epsilon, t);
  };
  AdamBound b{at(g), 0, 0, 0};
  for (const double moved : {g - error, g + error}) {
    const auto there = at(moved);
    b.theta = std::max(b.theta, std::abs(there.theta - b.want.theta));
    b.m = std::max(b.m, std::abs(there.m - b.want.m));
    b.v = std::max(b.v, std::abs(there.v - b.want.v));
  }
  // The op's own, as in adam_test.cpp.
  const double own_m = 2 * kEps * (std::abs(o.adam_beta1 * s.m) + std::abs((1 - o.adam_beta1) * g)) + FLT_MIN;
  const double rate = lr / (1 - std::pow(double(o.adam_beta1), double(t)));
  const double root = std::sqrt(b.want.v / (1 - std::pow(double(o.adam_beta2), double(t))));
  b.theta += kEps * std::abs(b.want.theta) + 4 * kEps * std::abs(b.want.theta - s.theta) +
             rate / (root + o.adam_epsilon) * own_m;
  b.m += own_m;
  b.v += 2 * kEps * (o.adam_beta2 * s.v + (1 - o.adam_beta2) * g * g) + FLT_MIN;
  return b;
}

/// A model in training, judged step by step: each step against the reference on the state it started from.
class Judge {
 public:
  Judge(const Case& c, int threads)
      : case_(c),
        exec_(test::open_exec(threads)),
        part_(data_of(c)),
        data_(exec_, part_),
        vae_(vae_of(c)),
        state_(exec_, vae_),
        options_{.max_batch = kBatch,
                 .samples = c.samples,
                 .beta = c.beta,
                 .binarize = c.binarize,
                 .seed = 0x123456789abcdef0u},
        step_(exec_, vae_, data_, state_, options_) {
    initialise(exec_, vae_, state_);
  }

  /// Takes a step on `rows` and compares everything that it gives.
  void step(const std::vector<std::uint32_t>& rows, float lr, Parity& parity) {
    step_.begin(rows, std::vector<double>{lr});
    judge(rows, lr, parity);
  }
  /// The same for each step of an epoch over `order`.
  void epoch(const std::vector<std::uint32_t>& order, const std::vector<double>& rates, Parity& parity) {
    step_.begin(order, rates);
    for (std::size_t i = 0; i < rates.size(); ++i) {
      const auto first = order.begin() + static_cast<std::int64_t>(i) * kBatch;
      const auto left = order.end() - first;
      judge({first, first + std::min(left, kBatch)}, static_cast<float>(rates[i]), parity);
    }
  }

  /// Largest error of a gradient as a share of its tolerance.
  double worst_gradient() const { return worst_gradient_; }
  /// Changes what the reference believes: for the tests that must go red.
  TrainingStepOptions& options() { return options_; }
  ModelState<test::ExecType>& state() { return state_; }
  TrainingStep<test::ExecType>& training_step() { return step_; }
  Values gradient() const { return doubles(step_.gradient()); }

 private:
  Values doubles(View<const float, 1> values) const {
    const std::vector<float> host = to_host(exec_, values);
    return {host.begin(), host.end()};
  }

  /// Takes the step laid out, on `rows`.
  void judge(const std::vector<std::uint32_t>& rows, float lr, Parity& parity) {
    const reference::StepInput<double> in{&vae_, &part_,      options_,
                                          rows,  state_.step, doubles(state_.parameters.view())};
    const reference::StepTrace<double> want = reference::step(in);
    const StepErrors errors = ErrorAnalysis(in, want)();
    const Values m = doubles(state_.m.view()), v = doubles(state_.v.view());
    std::vector<AdamBound> adam;
    for (std::size_t i = 0; i < in.parameters.size(); ++i) {
      adam.push_back(adam_bound({in.parameters[i], m[i], v[i]}, want.gradient[i], kShare * errors.gradient[i],
                                lr, options_, state_.step + 1));
    }
    step_();
    compare_gradient(want, errors, parity);
    worst_gradient_ = std::max(worst_gradient_, parity.worst());
    compare_state(adam, parity);
    compare_totals(want, errors, static_cast<std::int64_t>(rows.size()), parity);
  }

  void compare_gradient(const reference::StepTrace<double>& want, const StepErrors& errors, Parity& parity) {
    const std::vector<float> gradient = to_host(exec_, step_.gradient());
    const View<const float, 1> flat{gradient.data(), vae_.table().size()};
    for (const ParameterEntry& entry : vae_.table().entries()) {
      Values tolerance = reference::tensor_of(errors.gradient, entry);
      for (double& t : tolerance) t = kShare * t + FLT_MIN;
      parity.compare("gradient of " + entry.name, vector_of(flat, entry),
                     reference::tensor_of(want.gradient, entry), tolerance);
    }
  }
  void compare_state(const std::vector<AdamBound>& adam, Parity& parity) {
    const Values parameters = doubles(state_.parameters.view());
    const Values m = doubles(state_.m.view()), v = doubles(state_.v.view());
    for (std::size_t i = 0; i < adam.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      parity.element("parameter", 0, at, parameters[i], adam[i].want.theta, adam[i].theta);
      parity.element("m", 0, at, m[i], adam[i].want.m, adam[i].m);
      parity.element("v", 0, at, v[i], adam[i].want.v, adam[i].v);
    }
  }
  void compare_totals(const reference::StepTrace<double>& want, const StepErrors& errors, std::int64_t count,
                      Parity& parity) {
    const TrainingTotals got = step_.take_totals();
    // ELBO: a difference of the two, rounded to float for each datum.
    const double log_p = kShare * errors.log_px_given_z + kEps * std::abs(want.log_px_given_z);
    const double kl = kShare * errors.kl;
    parity.element("log_px_given_z", 0, 0, got.log_px_given_z, want.log_px_given_z, log_p);
    parity.element("kl", 0, 0, got.kl, want.kl, kl);
    parity.element("elbo", 0, 0, got.elbo, want.elbo,
                   log_p + kl + kEps * (std::abs(want.log_px_given_z) + want.kl));
    parity.element("count", 0, 0, static_cast<double>(got.count), static_cast<double>(count), 0);
    parity.element("clamped", 0, 0, static_cast<double>(got.clamped), static_cast<double>(want.clamped), 0);
  }

  Case case_;
  test::ExecHandle exec_;
  DataPart part_;
  ResidentData<test::ExecType> data_;
  Vae vae_;
  ModelState<test::ExecType> state_;
  TrainingStepOptions options_;
  TrainingStep<test::ExecType> step_;
  double worst_gradient_ = 0;
};

/// The last batch of an epoch is a smaller one.
const std::vector<std::uint32_t> kFirstBatch{3, 0, 12, 7, 5, 1, 9}, kLastBatch{11, 2, 6};

/// Two steps. Returns the largest error of a gradient in the first as a share of its tolerance.
double expect_parity(const Case& c) {
  SCOPED_TRACE(label(c));
  Judge judge(c, 2);
  Parity parity;
  judge.step(kFirstBatch, 1e-2f, parity);
  const double worst = judge.worst_gradient();
  judge.step(kLastBatch, 5e-3f, parity);
  FELBO_EXPECT_PARITY(parity);
  return worst;
}

std::vector<Case> families() {
  std::vector<Case> cases;
  cases.push_back({.likelihood = "bernoulli"});
  for (const char* variance : {"unit", "fixed:0.3", "learned", "per-dimension", "per-element"})
    cases.push_back({.likelihood = "gaussian", .variance = variance});
  return cases;
}

TEST(TrainingStep, EveryGradientAndParameterMatchesTheReference) {
  double worst = 0;
  for (Case c : families()) {
    for (const int samples : {1, 3}) {
      for (const float beta : {1.0f, 0.5f}) {
        c.samples = samples, c.beta = beta;
        std::vector<Case> models{c};
        for (const Activation act :
             {Activation::kRelu, Activation::kTanh, Activation::kGelu, Activation::kSoftplus}) {
          c.activation = act;
          for (const std::vector<std::int64_t>& hidden : {std::vector<std::int64_t>{17}, {17, 9}}) {
            c.hidden = hidden;
            models.push_back(c);
          }
        }
        c.hidden.clear();
        for (const Case& model : models) {
          worst = std::max(worst, expect_parity(model));
        }
      }
    }
  }
  RecordProperty("worst_share_of_tolerance", std::to_string(worst));
  EXPECT_GT(worst, 0.01);  // an error analysis gone wild would allow anything
}

TEST(TrainingStep, BinarisedDataMatchTheReference) {
  for (const Binarize binarize : {Binarize::kNone, Binarize::kThreshold, Binarize::kDynamic}) {
    for (const std::vector<std::int64_t>& hidden : {std::vector<std::int64_t>{}, {17}}) {
      const Case c{.hidden = hidden, .activation = Activation::kTanh, .samples = 2, .binarize = binarize};
      expect_parity(c);
    }
  }
}

// A device runs the first step of a batch size op by op, records the second and replays it from then on: each
// must see its own rows, noise, rate and share of the KL, in batches of both sizes.
TEST(TrainingStep, EveryStepOfSeveralEpochsMatchesTheReference) {
  const Case c{.hidden = {17}, .samples = 2, .beta = 0.5f, .binarize = Binarize::kDynamic};
  Judge judge(c, 2);
  std::vector<std::uint32_t> order(kDataRows);
  std::iota(order.begin(), order.end(), 0u);
  for (const std::vector<double>& rates :
       {std::vector{1e-2, 5e-3}, {2e-2, 1e-3}, {1e-3, 1e-2}, {4e-3, 3e-3}}) {
    std::ranges::rotate(order, order.begin() + 5);
    Parity parity;
    judge.epoch(order, rates, parity);
    FELBO_EXPECT_PARITY(parity);
  }
  EXPECT_EQ(judge.state().step, 8);
}

// Bounds so narrow that they hold some of the log-variances of the posterior and of the likelihood, not all.
TEST(TrainingStep, ANarrowClampHoldsCountsAndStopsGradients) {
  for (Case c : families()) {
    c.clamp = {-0.3f, 0.2f};
    c.hidden = {17};
    c.samples = 3;
    expect_parity(c);
    Judge open(c, 1);
    take(open.training_step(), kFirstBatch);
    const std::int64_t clamped = open.training_step().totals().clamped;
    EXPECT_GT(clamped, 0);
    EXPECT_LT(clamped, 7 * kLatent + 7 * 3 * kDimensions);
  }
}

/// Parameters and moments after three steps of a model large enough that every op splits its work.
std::vector<float> train_larger(const Case& c, int threads) {
  constexpr std::int64_t kRows = 97, kCols = 301, kAtOnce = 64;
  const test::ExecHandle exec = test::open_exec(threads);
  DataPart part{.rows = kRows, .cols = kCols, .floats = std::vector<float>(kRows * kCols)};
  test::fill_normal({part.floats.data(), kRows, kCols}, 11, 0.1f, 0.5f);
  const ResidentData<test::ExecType> data(exec, part);
  VaeConfig config = vae_of(c).config();
  config.dimensions = kCols;
  config.latent = 33;
  const Vae vae(config);
  ModelState<test::ExecType> state(exec, vae);
  initialise(exec, vae, state);
  TrainingStep<test::ExecType> step(
      exec, vae, data, state,
      {.max_batch = kAtOnce, .samples = c.samples, .binarize = c.binarize, .seed = 3});
  std::vector<std::uint32_t> rows(kRows);
  std::iota(rows.begin(), rows.end(), 0u);
  step.begin(rows, std::vector{1e-3, 1e-3});
  step();
  step();
  take(step, {rows.begin() + 20, rows.begin() + 20 + kAtOnce});
  std::vector<float> all;
  for (const auto* buffer : {&state.parameters, &state.m, &state.v}) {
    const std::vector<float> values = to_host(exec, buffer->view());
    all.insert(all.end(), values.begin(), values.end());
  }
  const TrainingTotals totals = step.totals();
  for (const double sum : {totals.elbo, totals.kl, totals.log_px_given_z}) {
    for (const float half : std::bit_cast<std::array<float, 2>>(sum)) all.push_back(half);
  }
  return all;
}

TEST(TrainingStep, ThreadsDoNotChangeABit) {
  for (Case c : families()) {
    c.hidden = {130, 70};
    c.activation = Activation::kGelu;
    c.samples = 3;
    c.binarize = c.likelihood == "bernoulli" ? Binarize::kDynamic : Binarize::kNone;
    const std::vector<float> one = train_larger(c, 1);
    for (const int threads : {2, 3, 5}) {
      const std::vector<float> other = train_larger(c, threads);
      ASSERT_EQ(other.size(), one.size());
      EXPECT_EQ(std::memcmp(other.data(), one.data(), one.size() * sizeof(float)), 0)
          << label(c) << ", " << threads << " threads";
    }
  }
}

// The batch names the noise by the data's rows: their order moves sums by rounding alone.
TEST(TrainingStep, TheOrderOfABatchDoesNotMatter) {
  const Case c{.hidden = {17}, .activation = Activation::kTanh, .samples = 3, .binarize = Binarize::kDynamic};
  Judge forward(c, 2), backward(c, 2);
  Parity unused;
  forward.step(kFirstBatch, 1e-2f, unused);
  backward.step({kFirstBatch.rbegin(), kFirstBatch.rend()}, 1e-2f, unused);
  const Values a = forward.gradient(), b = backward.gradient();
  double largest = 0;
  for (const double g : a) largest = std::max(largest, std::abs(g));
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 32 * kEps * largest);
}

TEST(TrainingStep, TotalsAddUpUntilTheyAreTaken) {
  const Case c{.hidden = {17}};
  Judge one(c, 1), two(c, 1);
  auto& a = one.training_step();
  auto& b = two.training_step();
  TrainingTotals sum;
  for (const auto& rows : {kFirstBatch, kLastBatch}) {
    take(a, rows);
    take(b, rows);
    const TrainingTotals part = a.take_totals();
    sum.elbo += part.elbo, sum.kl += part.kl, sum.log_px_given_z += part.log_px_given_z;
    sum.count += part.count;
  }
  for (const TrainingTotals& whole : {b.totals(), b.take_totals()}) {
    EXPECT_DOUBLE_EQ(whole.elbo, sum.elbo);
    EXPECT_DOUBLE_EQ(whole.kl, sum.kl);
    EXPECT_DOUBLE_EQ(whole.log_px_given_z, sum.log_px_given_z);
    EXPECT_EQ(whole.count, 10);
  }
  EXPECT_EQ(b.totals().count, 0);
  EXPECT_EQ(b.totals().elbo, 0.0);
  EXPECT_EQ(two.state().step, 2);
}

// What the reference is told wrongly must show: each of these is a bug that a step could have.
TEST(TrainingStep, AWrongArgumentIsSeen) {
  using Change = std::function<void(TrainingStepOptions&)>;
  const std::vector<std::pair<const char*, Change>> changes{
      {"beta", [](auto& o) { o.beta = 1.0f; }},
      {"seed", [](auto& o) { o.seed += 1; }},
      {"binarize", [](auto& o) { o.binarize = Binarize::kThreshold; }},
      {"adam beta1", [](auto& o) { o.adam_beta1 = 0.91f; }},
      {"adam beta2", [](auto& o) { o.adam_beta2 = 0.99f; }},
      {"adam epsilon", [](auto& o) { o.adam_epsilon = 1e-5f; }},
      {"nothing", [](auto&) {}},
  };
  const Case c{.hidden = {17}, .samples = 3, .beta = 0.5f, .binarize = Binarize::kDynamic};
  for (const auto& [name, change] : changes) {
    Judge judge(c, 1);
    change(judge.options());
    Parity parity;
    judge.step(kFirstBatch, 1e-2f, parity);
    EXPECT_EQ(parity.ok(), std::string(name) == "nothing") << name;
  }
}

TEST(TrainingStep, ANanInTheDataReachesTheTotals) {
  const Case c{.likelihood = "gaussian"};
  const test::ExecHandle exec = test::open_exec(2);
  DataPart part = data_of(c);
  part.floats[5] = std::nanf("");
  const ResidentData<test::ExecType> data(exec, part);
  const Vae vae = vae_of(c);
  ModelState<test::ExecType> state(exec, vae);
  initialise(exec, vae, state);
  TrainingStep<test::ExecType> step(exec, vae, data, state, {.max_batch = kBatch});
  take(step, kFirstBatch);
  EXPECT_TRUE(std::isnan(step.totals().elbo));
}

// The losses of the epoch need not show it.
TEST(TrainingStep, CountsTheParametersThatAreNoNumbers) {
  Judge judge({.hidden = {17}}, 1);
  EXPECT_EQ(judge.training_step().non_finite_parameters(), 0);
  View<float, 1> parameters = judge.state().parameters.view();
  upload(test::open_exec(1), std::vector{std::nanf(""), HUGE_VALF}, parameters.slice(5, 2));
  EXPECT_EQ(judge.training_step().non_finite_parameters(), 2);
  EXPECT_EQ(judge.training_step().non_finite_parameters(), 2);
}

TEST(TrainingStep, RefusesStepsAndDataThatDoNotFit) {
  const Case c;
  const test::ExecHandle exec = test::open_exec(1);
  DataPart part = data_of(c);
  const ResidentData<test::ExecType> data(exec, part);
  const Vae vae = vae_of(c);
  ModelState<test::ExecType> state(exec, vae);
  TrainingStep<test::ExecType> step(exec, vae, data, state, {.max_batch = 4});
  const auto refusal = [&](std::int64_t visits, std::size_t rates) -> std::string {
    try {
      step.begin(std::vector<std::uint32_t>(static_cast<std::size_t>(visits)), std::vector(rates, 1e-3));
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal(0, 0), "0 data are to be visited, there are 13");
  EXPECT_EQ(refusal(14, 4), "14 data are to be visited, there are 13");
  EXPECT_EQ(refusal(9, 2), "2 learning rates for 3 steps");
  EXPECT_THROW(step(), std::invalid_argument);
  EXPECT_EQ(refusal(5, 2), "accepted");
  EXPECT_EQ(step(), 4);
  EXPECT_EQ(step(), 1);
  EXPECT_THROW(step(), std::invalid_argument);
  EXPECT_EQ(state.step, 2);
  const Vae other({.dimensions = 1, .latent = 1});
  EXPECT_THROW(TrainingStep<test::ExecType>(exec, other, data, state, {}), std::invalid_argument);
}

// --- The reference itself

// Its gradient against central differences of its own loss, in long double: h^2 / 6 times the third
// derivative is about 1e-9 of the gradient's size, rounding 1e-19 / h = 1e-14. relu is left out: it has
// kinks.
TEST(TrainingStepReference, GradientIsTheDerivativeOfTheLoss) {
  using Real = long double;
  const Real h = 1e-5L;
  for (Case c : families()) {
    for (const Activation act : {Activation::kTanh, Activation::kGelu, Activation::kSoftplus}) {
      c.activation = act;
      c.hidden = act == Activation::kTanh ? std::vector<std::int64_t>{3, 2} : std::vector<std::int64_t>{3};
      c.samples = 2;
      c.beta = 0.7f;
      SCOPED_TRACE(label(c));
      DataPart part = data_of(c);
      part.cols = 4;
      part.rows = kDataRows * kDimensions / 4;
      VaeConfig config = vae_of(c).config();
      config.dimensions = 4;
      config.latent = 2;
      const Vae vae(config);
      std::vector<float> flat(static_cast<std::size_t>(vae.table().size()));
      fill_parameters(vae, {flat.data(), vae.table().size()});
      reference::StepInput<Real> in{&vae,      &part, {.samples = 2, .beta = 0.7f, .seed = 5},
                                    {4, 0, 2}, 3,     {flat.begin(), flat.end()}};
      const auto gradient = reference::step(in).gradient;
      for (const ParameterEntry& entry : vae.table().entries()) {
        for (std::int64_t i = entry.offset; i < entry.offset + entry.size; ++i) {
          const Real value = in.parameters[std::size_t(i)];
          in.parameters[std::size_t(i)] = value + h;
          const Real above = reference::step_forward(in).loss;
          in.parameters[std::size_t(i)] = value - h;
          const Real below = reference::step_forward(in).loss;
          in.parameters[std::size_t(i)] = value;
          const Real difference = (above - below) / (2 * h);
          ASSERT_NEAR(gradient[std::size_t(i)], difference, 1e-7L * (1 + std::abs(difference)))
              << entry.name << " " << i - entry.offset;
        }
      }
    }
  }
}

}  // namespace
}  // namespace felbo
