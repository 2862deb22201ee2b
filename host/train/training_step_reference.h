// One training step by plain loops, composed from the references of its ops, in the scalar T. The model is
// found by the names of its parameters alone; nothing is shared with training_step.h but the arguments.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "host/data/data_part.h"
#include "host/model/vae.h"
#include "host/train/training_step.h"
#include "kernels/adam/adam_reference.h"
#include "kernels/dense/dense_reference.h"
#include "kernels/free_bits/free_bits_reference.h"
#include "kernels/gather/gather_reference.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "kernels/log_counts/log_counts_reference.h"
#include "kernels/noise/noise_reference.h"
#include "kernels/objective/objective_reference.h"
#include "kernels/reparameterize/reparameterize_reference.h"

namespace felbo::reference {

/// What a step is given. `parameters` is the flat buffer.
template <class T>
struct StepInput {
  const Vae* vae = nullptr;
  const DataPart* data = nullptr;
  TrainingStepOptions options;
  std::vector<std::uint32_t> rows;
  std::int64_t step = 0;  // steps taken before this one
  std::vector<T> parameters;
  StepRates rates = {};
};

/// A dense layer on its way forward and back.
template <class T>
struct LayerTrace {
  int in = 0, out = 0;
  Activation activation = Activation::kIdentity;
  ParameterEntry weight_entry, bias_entry;
  std::vector<T> weight, bias;
  std::vector<T> x;            // (rows, in)
  Affine<T> pre;               // (rows, out) before the activation
  std::vector<T> grad_y;       // (rows, out) gradient before the activation
  AffineGradient<T> gradient;  // of what the layer was given
};

template <class T>
struct StepTrace {
  std::vector<LayerTrace<T>> encoder, decoder;
  std::vector<T> mu, log_var;  // (B, Z)
  Reparameterized<T> latent;
  LikelihoodInput<T> likelihood_input;
  LikelihoodOutcome<T> likelihood;
  std::vector<T> weight;                     // (B S) of each sample; those of a datum sum to 1
  std::vector<T> kl_weight;                  // (Z) of each dimension's KL
  std::vector<T> grad_z;                     // (B S, Z)
  ReparameterizeGradient<T> grad_posterior;  // (B, Z) each
  std::vector<T> gradient;                   // (P) flat, zero between the tensors
  T log_px_given_z = 0, kl = 0, elbo = 0;    // sums over the batch
  T bound = 0;                               // sum of log mean_s w_s, with importance weights
  T loss = 0;                                // what the gradient is of (stl, dreg: what it estimates)
  std::int64_t clamped = 0;
};

inline ParameterEntry entry_of(const Vae& vae, const std::string& name) {
  for (const ParameterEntry& entry : vae.table().entries()) {
    if (entry.name == name) return entry;
  }
  throw std::invalid_argument("no parameter is named " + name);
}

template <class T>
std::vector<T> tensor_of(const std::vector<T>& flat, const ParameterEntry& entry) {
  return {flat.begin() + entry.offset, flat.begin() + entry.offset + entry.size};
}

/// eps(b, s, d) of the step's latent variables.
template <class T>
auto latent_noise(const StepInput<T>& in) {
  return [&in](int b, int s, int d) {
    return static_cast<T>(normal(in.options.seed, static_cast<std::uint32_t>(in.step),
                                 static_cast<std::uint32_t>(Purpose::kLatent), in.rows[std::size_t(b)],
                                 static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(d)));
  };
}

template <class T>
std::vector<LayerTrace<T>> mlp_layers(const StepInput<T>& in, const std::string& name, int width,
                                      std::vector<std::int64_t> hidden, int out) {
  std::vector<LayerTrace<T>> layers;
  hidden.push_back(out);
  for (std::size_t l = 0; l < hidden.size(); ++l) {
    LayerTrace<T> layer;
    layer.in = width;
    layer.out = width = static_cast<int>(hidden[l]);
    if (l + 1 < hidden.size()) layer.activation = in.vae->config().activation;
    layer.weight_entry = entry_of(*in.vae, name + "." + std::to_string(l) + ".weight");
    layer.bias_entry = entry_of(*in.vae, name + "." + std::to_string(l) + ".bias");
    layer.weight = tensor_of(in.parameters, layer.weight_entry);
    layer.bias = tensor_of(in.parameters, layer.bias_entry);
    layers.push_back(layer);
  }
  return layers;
}

template <class T>
std::vector<T> mlp_forward(std::vector<LayerTrace<T>>& layers, std::vector<T> x, int rows) {
  for (LayerTrace<T>& layer : layers) {
    layer.x = x;
    layer.pre = affine(x, layer.weight, layer.bias, rows, layer.in, layer.out);
    x = layer.pre.value;
    for (T& value : x) value = activation(layer.activation, value);
  }
  return x;
}

/// Puts the gradients of the layers into `gradient` and returns that of the input.
template <class T>
std::vector<T> mlp_backward(std::vector<LayerTrace<T>>& layers, std::vector<T> grad_y, int rows,
                            std::vector<T>& gradient) {
  for (std::size_t l = layers.size(); l-- > 0;) {
    LayerTrace<T>& layer = layers[l];
    layer.grad_y = grad_y;
    layer.gradient = affine_gradient(layer.x, layer.weight, grad_y, rows, layer.in, layer.out);
    std::ranges::copy(layer.gradient.weight, gradient.begin() + layer.weight_entry.offset);
    std::ranges::copy(layer.gradient.bias, gradient.begin() + layer.bias_entry.offset);
    grad_y = layer.gradient.x;
    if (l == 0) break;
    for (std::size_t i = 0; i < grad_y.size(); ++i)
      grad_y[i] *= activation_derivative(layers[l - 1].activation, layers[l - 1].pre.value[i]);
  }
  return grad_y;
}

/// x(row, j) as it is stored.
inline float stored_value(const DataPart& part, std::int64_t row, std::int64_t j) {
  if (!part.is_sparse()) {
    const auto at = static_cast<std::size_t>(row * part.cols + j);
    return part.is_bytes() ? static_cast<float>(part.bytes[at]) : part.floats[at];
  }
  const auto begin = part.sparse->begin[std::size_t(row)], end = part.sparse->begin[std::size_t(row) + 1];
  for (std::int64_t e = begin; e < end; ++e)
    if (part.sparse->column[std::size_t(e)] == j) return part.sparse->value[std::size_t(e)];
  return 0.0f;
}

template <class T>
std::vector<T> minibatch(const StepInput<T>& in) {
  const NoiseStream noise{in.options.seed, static_cast<std::uint32_t>(in.step), Purpose::kBinarize};
  std::vector<T> x;
  for (const std::uint32_t row : in.rows) {
    for (std::int64_t j = 0; j < in.data->cols; ++j) {
      x.push_back(gather_pixel<T>(T(stored_value(*in.data, row, j)),
                                  in.data->is_bytes() ? in.data->divisor : 1.0f, in.options.binarize, noise,
                                  row, static_cast<std::uint32_t>(j)));
    }
  }
  return x;
}

/// The weights of the samples and the loss, from the terms of each sample.
template <class T>
void take_objective(const StepInput<T>& in, StepTrace<T>& t) {
  const auto B = in.rows.size(), S = std::size_t(in.options.samples),
             Z = std::size_t(in.vae->config().latent);
  const T beta = T(in.rates.beta);
  const bool weighed = has_importance_weights(in.options.objective);
  t.kl_weight.assign(Z, T(1));
  T monte_carlo = 0;  // sum of mean_s log w_s
  for (std::size_t b = 0; b < B; ++b) {
    std::vector<T> log_w;
    for (std::size_t r = b * S; r < (b + 1) * S; ++r) {
      log_w.push_back(t.likelihood.log_px_given_z[r] +
                      (weighed ? T(1) : beta) * (t.latent.log_pz[r] - t.latent.log_qz_given_x[r]));
    }
    const std::vector<T> even(S, T(1) / T(S)), weights = weighed ? normalised_weights(log_w) : even;
    t.weight.insert(t.weight.end(), weights.begin(), weights.end());
    if (weighed) t.bound += log_mean_exp(log_w);
    monte_carlo += mean(log_w);
  }
  if (weighed) {
    t.loss = -t.bound / T(B);
  } else if (in.options.objective != TrainingObjective::kElbo) {
    t.loss = -monte_carlo / T(B);
  } else if (in.options.free_bits > 0) {
    const T threshold = T(in.options.free_bits);
    const VaeConfig& c = in.vae->config();
    const auto kl = kl_of_dimensions(t.mu, t.log_var, int(B), int(Z), T(c.clamp.lo), T(c.clamp.hi));
    t.loss = -t.log_px_given_z / T(B);
    for (std::size_t d = 0; d < Z; ++d) {
      t.kl_weight[d] = kl[d] > threshold ? T(1) : T(0);
      t.loss += beta * std::max(threshold, kl[d]);
    }
  } else {
    t.loss = (beta * t.kl - t.log_px_given_z) / T(B);
  }
}

/// Weighs the rows of the likelihood's gradients; that of parameters of the family's own is made anew.
template <class T>
void weigh_gradients(const StepInput<T>& in, StepTrace<T>& t) {
  const auto rows = t.weight.size(), S = std::size_t(in.options.samples);
  const std::size_t outputs = t.likelihood.grad_output.size() / rows;
  std::fill(t.likelihood.grad_own.begin(), t.likelihood.grad_own.end(), T(0));
  std::fill(t.likelihood.grad_own_scale.begin(), t.likelihood.grad_own_scale.end(), T(0));
  for (std::size_t r = 0; r < rows; ++r) {
    LikelihoodInput<T> row = t.likelihood_input;
    const auto X = std::size_t(row.dimensions);
    row.data = row.samples = 1;
    row.x.assign(t.likelihood_input.x.begin() + std::int64_t(r / S * X),
                 t.likelihood_input.x.begin() + std::int64_t((r / S + 1) * X));
    row.output.assign(t.likelihood_input.output.begin() + std::int64_t(r * outputs),
                      t.likelihood_input.output.begin() + std::int64_t((r + 1) * outputs));
    row.grad_scale = t.likelihood_input.grad_scale * t.weight[r];
    const LikelihoodOutcome<T> out = likelihood(in.vae->config().likelihood, row);
    for (std::size_t i = 0; i < outputs; ++i) {
      t.likelihood.grad_output[r * outputs + i] = out.grad_output[i];
      t.likelihood.grad_scale[r * outputs + i] = out.grad_scale[i];
    }
    for (std::size_t i = 0; i < out.grad_own.size(); ++i) {
      t.likelihood.grad_own[i] += out.grad_own[i];
      t.likelihood.grad_own_scale[i] += out.grad_own_scale[i];
    }
  }
}

/// The gradient by the posterior, as the objective estimates it.
template <class T>
ReparameterizeGradient<T> posterior_gradient_of(const StepInput<T>& in, const StepTrace<T>& t) {
  const VaeConfig& c = in.vae->config();
  const int B = static_cast<int>(in.rows.size()), S = in.options.samples, Z = static_cast<int>(c.latent);
  const T kl_scale = T(in.rates.beta) / T(B), lo = T(c.clamp.lo), hi = T(c.clamp.hi);
  if (in.options.objective != TrainingObjective::kElbo) {
    return sample_gradient<T>(posterior_gradient(in.options.objective), t.mu, t.log_var, t.grad_z, t.weight,
                              B, S, Z, kl_scale, lo, hi, latent_noise(in));
  }
  // With the KL's share and without it.
  const auto with =
      reparameterize_gradient<T>(t.mu, t.log_var, t.grad_z, B, S, Z, kl_scale, lo, hi, latent_noise(in));
  const auto without =
      reparameterize_gradient<T>(t.mu, t.log_var, t.grad_z, B, S, Z, T(0), lo, hi, latent_noise(in));
  ReparameterizeGradient<T> out = without;
  for (std::size_t i = 0; i < out.mu.size(); ++i) {
    const bool pays = t.kl_weight[i % std::size_t(Z)] != T(0);
    if (pays) out.mu[i] = with.mu[i], out.log_var[i] = with.log_var[i];
  }
  return out;
}

/// From the data to the loss.
template <class T>
StepTrace<T> step_forward(const StepInput<T>& in) {
  const VaeConfig& c = in.vae->config();
  const int B = static_cast<int>(in.rows.size()), S = in.options.samples;
  const int X = static_cast<int>(c.dimensions), Z = static_cast<int>(c.latent);
  StepTrace<T> t;
  t.encoder = mlp_layers(in, "encoder", X, c.hidden, 2 * Z);
  t.decoder = mlp_layers(in, "decoder", Z, {c.hidden.rbegin(), c.hidden.rend()}, c.likelihood.outputs() * X);

  const std::vector<T> x = minibatch(in);
  std::vector<T> input = x;
  if (c.likelihood.observations() == Observations::kCounts) {
    for (T& value : input) value = log_count(value);
  }
  const std::vector<T> posterior = mlp_forward(t.encoder, input, B);
  for (int b = 0; b < B; ++b) {
    const auto row = posterior.begin() + 2 * Z * b;
    t.mu.insert(t.mu.end(), row, row + Z);
    t.log_var.insert(t.log_var.end(), row + Z, row + 2 * Z);
  }
  t.latent = reparameterize<T>(t.mu, t.log_var, B, S, Z, T(c.clamp.lo), T(c.clamp.hi), latent_noise(in));
  t.likelihood_input = {.data = B, .samples = S, .dimensions = X, .x = x};
  t.likelihood_input.output = mlp_forward(t.decoder, t.latent.z, B * S);
  t.likelihood_input.grad_scale = T(-1) / T(B);
  if (c.likelihood.own_parameters(X) > 0)
    t.likelihood_input.own = tensor_of(in.parameters, entry_of(*in.vae, "likelihood.log_var"));
  t.likelihood = likelihood(c.likelihood, t.likelihood_input);

  for (int b = 0; b < B; ++b) {
    const auto row = t.likelihood.log_px_given_z.begin() + S * b;
    const std::vector<T> log_px_given_z(row, row + S);
    t.log_px_given_z += mean(log_px_given_z);
    t.kl += t.latent.kl[std::size_t(b)];
    t.elbo += elbo(log_px_given_z, t.latent.kl[std::size_t(b)]);
    t.clamped += t.latent.clamped[std::size_t(b)];
  }
  for (const std::int32_t clamped : t.likelihood.clamped) t.clamped += clamped;
  take_objective(in, t);
  return t;
}

/// The whole step but for the optimiser.
template <class T>
StepTrace<T> step(const StepInput<T>& in) {
  StepTrace<T> t = step_forward(in);
  const VaeConfig& c = in.vae->config();
  const int B = static_cast<int>(in.rows.size()), S = in.options.samples, Z = static_cast<int>(c.latent);
  t.gradient.assign(in.parameters.size(), T(0));
  weigh_gradients(in, t);
  t.grad_z = mlp_backward(t.decoder, t.likelihood.grad_output, B * S, t.gradient);
  if (!t.likelihood.grad_own.empty()) {
    std::ranges::copy(t.likelihood.grad_own,
                      t.gradient.begin() + entry_of(*in.vae, "likelihood.log_var").offset);
  }
  t.grad_posterior = posterior_gradient_of(in, t);
  std::vector<T> grad_posterior;
  for (int b = 0; b < B; ++b) {
    for (const std::vector<T>* part : {&t.grad_posterior.mu, &t.grad_posterior.log_var})
      grad_posterior.insert(grad_posterior.end(), part->begin() + Z * b, part->begin() + Z * (b + 1));
  }
  mlp_backward(t.encoder, grad_posterior, B, t.gradient);
  return t;
}

}  // namespace felbo::reference
