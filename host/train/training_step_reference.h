// One training step by plain loops, composed from the references of its ops, in the scalar T, for every model
// and objective. The model is found by the names of its parameters alone; nothing is shared with
// training_step.h but the arguments. What lies between the networks - the draw, its densities, the KL - has
// its gradient from the forward formulas by reverse_mode.h, a sample at a time; the networks have theirs
// from the references of the ops.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "host/data/data_part.h"
#include "host/model/latent_reference.h"
#include "host/model/layers_reference.h"
#include "host/model/vae.h"
#include "host/train/reverse_mode.h"
#include "host/train/training_step.h"
#include "kernels/adam/adam_reference.h"
#include "kernels/conditional_gaussian/conditional_gaussian_reference.h"
#include "kernels/dense/dense_reference.h"
#include "kernels/gather/gather_reference.h"
#include "kernels/likelihood/likelihood_reference.h"
#include "kernels/log_counts/log_counts_reference.h"
#include "kernels/noise/noise_reference.h"
#include "kernels/objective/objective_reference.h"

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

/// A stochastic layer h_l above the first on its way forward and back.
template <class T>
struct LayerAboveTrace {
  std::vector<LayerTrace<T>> encoder, decoder;  // of q(h_l|h_{l-1}) and p(h_{l-1}|h_l)
  std::vector<T> below, h;                      // (B S, Z_{l-1}), (B S, Z_l)
  std::vector<T> posterior, prior;              // (B S, 2 Z_l), (B S, 2 Z_{l-1}): mu and log_var
  std::vector<T> grad_posterior, grad_prior;    // likewise
  std::vector<T> grad_below, grad_h;            // (B S, Z_{l-1}) through q(h_l|h_{l-1}), (B S, Z_l)
};

template <class T>
struct StepTrace {
  std::vector<LayerTrace<T>> encoder, decoder;
  std::vector<T> posterior, pseudo;  // (B, posterior.outputs(Z)), (K, 2 Z): what the encoder gives
  LatentTermsOf<T> latent;           // log-densities of all layers, where there are several
  std::vector<LayerAboveTrace<T>> above;
  LikelihoodInput<T> likelihood_input;
  LikelihoodOutcome<T> likelihood;
  std::vector<T> weight;                       // (B S) of each sample; those of a datum sum to 1
  std::vector<T> kl_weight;                    // (Z) of each dimension's KL
  std::vector<T> grad_z;                       // (B S, Z) by what the decoder reads, through it
  std::vector<T> grad_posterior, grad_pseudo;  // as posterior and pseudo
  std::vector<T> gradient;                     // (P) flat, zero between the tensors
  std::vector<double> largest;                 // (B) magnitude of any number that the latent part of
                                               // the gradient is computed from
  T log_px_given_z = 0, kl = 0, elbo = 0;      // sums over the batch
  T bound = 0;                                 // sum of log mean_s w_s, with importance weights
  T loss = 0;                                  // what the gradient is of (stl, dreg: what it estimates)
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

template <class T>
LatentReference latent_of(const StepInput<T>& in) {
  return {*in.vae,
          {in.options.seed, static_cast<std::uint32_t>(in.step), Purpose::kLatent},
          in.rows,
          in.options.samples};
}

/// Whether the KL counts in closed form; else by the samples' densities.
template <class T>
bool takes_closed_kl(const StepInput<T>& in) {
  return in.options.objective == TrainingObjective::kElbo && has_closed_kl(in.vae->config());
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
                      (weighed ? T(1) : beta) * (t.latent.log_pz[r] - t.latent.log_qz[r]));
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
    const LatentReference latent = latent_of(in);
    std::vector<T> kl(Z, T(0));
    for (std::size_t b = 0; b < B; ++b) {
      const std::vector<T> of_datum =
          latent.closed_kl(&t.posterior[2 * Z * b], latent.prior_from(std::vector<T>()));
      for (std::size_t d = 0; d < Z; ++d) kl[d] += of_datum[d] / T(B);
    }
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

// --- The latent variables on the way back

/// A part of the loss with its gradient, of one datum; what was seen on the way is noted.
template <class T, class F>
std::vector<T> gradient_of(StepTrace<T>& t, std::size_t datum, const std::vector<T>& x, const F& loss) {
  Derivatives<T> d = differentiate(x, loss);
  t.largest[datum] = std::max(t.largest[datum], d.largest);
  return std::move(d.gradient);
}

/// log N(z; mu, sigma^2) of a posterior that does not couple the dimensions, as a function of z alone.
template <class T>
Traced<T> log_q_by_z_alone(const LatentReference& latent, const Traced<T>* row,
                           const std::vector<Traced<T>>& z) {
  Traced<T> log_q = 0;
  for (std::size_t d = 0; d < z.size(); ++d) {
    const Traced<T> v = stopped(latent.log_var(row, static_cast<int>(d))), away = z[d] - stopped(row[d]);
    log_q -= (log(T(2) * std::numbers::pi_v<Traced<T>>) + v + away * away / exp(v)) / T(2);
  }
  return log_q;
}

/// What sample s of datum b adds to the loss, as far as its posterior and prior tell: `x` is the encoder's
/// row and then the prior's numbers, `grad_code` the gradient of the rest by what the decoder reads. Of stl
/// and dreg it is a function with the gradient that they estimate.
template <class T>
Traced<T> sample_loss(const StepInput<T>& in, const LatentReference& latent, int b, int s, T weight,
                      const T* grad_code, const std::vector<Traced<T>>& x) {
  const VaeConfig& c = in.vae->config();
  LatentSample<Traced<T>> drawn = latent.sample(x.data(), b, s);
  if (in.options.objective == TrainingObjective::kDreg) {
    for (Traced<T>& value : drawn.z) value = with_gradient_times(weight, value);
  }
  if (goes_through_z_alone(in.options.objective)) drawn.log_q = log_q_by_z_alone(latent, x.data(), drawn.z);
  Traced<T> loss = 0;
  const std::vector<Traced<T>> code = latent.code_of(drawn.z);
  for (std::size_t d = 0; d < code.size(); ++d) loss += Traced<T>(grad_code[d]) * code[d];
  if (takes_closed_kl(in)) return loss;
  const Traced<T> scale = weight * T(in.rates.beta) / T(in.rows.size());
  loss += scale * drawn.log_q;
  if (!c.above.empty()) return loss;  // log p is that of the layers
  const std::vector<Traced<T>> numbers(x.begin() + c.posterior.outputs(c.latent), x.end());
  return loss - scale * mixture_log_density(latent.prior_from(numbers), drawn.z.data());
}

/// The gradients by the encoder's output and the prior's parameters, from that by z.
template <class T>
void draw_backward(const StepInput<T>& in, StepTrace<T>& t, const std::vector<T>& grad_code) {
  const VaeConfig& c = in.vae->config();
  const auto B = in.rows.size(), S = std::size_t(in.options.samples), Z = std::size_t(c.latent),
             E = std::size_t(c.posterior.outputs(c.latent));
  const LatentReference latent = latent_of(in);
  const std::vector<T> numbers = latent.prior_numbers<T>({t.posterior, t.pseudo, in.parameters});
  std::vector<T> grad_numbers(numbers.size(), T(0));
  t.grad_posterior.assign(t.posterior.size(), T(0));
  for (std::size_t b = 0; b < B; ++b) {
    std::vector<T> x(t.posterior.begin() + std::int64_t(b * E),
                     t.posterior.begin() + std::int64_t((b + 1) * E));
    x.insert(x.end(), numbers.begin(), numbers.end());
    const auto add = [&](const auto& loss) {
      const std::vector<T> g = gradient_of(t, b, x, loss);
      for (std::size_t i = 0; i < g.size(); ++i)
        (i < E ? t.grad_posterior[b * E + i] : grad_numbers[i - E]) += g[i];
    };
    for (std::size_t r = b * S; r < (b + 1) * S; ++r) {
      add([&](const std::vector<Traced<T>>& at) {
        return sample_loss(in, latent, int(b), int(r % S), t.weight[r], &grad_code[r * Z], at);
      });
    }
    if (!takes_closed_kl(in)) continue;
    add([&](const std::vector<Traced<T>>& at) {
      const std::vector<Traced<T>> kl = latent.closed_kl(
          at.data(), latent.prior_from(std::vector<Traced<T>>(at.begin() + std::int64_t(E), at.end())));
      Traced<T> loss = 0;
      for (std::size_t d = 0; d < Z; ++d) loss += T(in.rates.beta) / T(B) * t.kl_weight[d] * kl[d];
      return loss;
    });
  }
  if (c.prior.family == PriorFamily::kVamp) t.grad_pseudo = grad_numbers;
  auto from = grad_numbers.begin();
  for (const ParameterEntry& entry : latent.prior_entries()) {
    std::copy(from, from + entry.size, t.gradient.begin() + entry.offset);
    from += entry.size;
  }
}

/// eps(r, d) of layer i + 2.
template <class T>
std::vector<T> noise_above(const StepInput<T>& in, std::size_t i, std::size_t r) {
  const auto S = std::size_t(in.options.samples);
  std::vector<T> eps;
  for (std::int64_t d = 0; d < in.vae->config().above[i].latent; ++d)
    eps.push_back(static_cast<T>(normal(in.options.seed, static_cast<std::uint32_t>(in.step),
                                        kTrainingLayers.above + static_cast<std::uint32_t>(i), in.rows[r / S],
                                        static_cast<std::uint32_t>(r % S), static_cast<std::uint32_t>(d))));
  return eps;
}

/// Columns [begin, begin + count) of a row.
template <class T>
std::vector<T> part_of(const std::vector<T>& rows, std::size_t row, std::size_t width, std::size_t begin,
                       std::size_t count) {
  const auto from = rows.begin() + std::int64_t(row * width + begin);
  return {from, from + std::int64_t(count)};
}

/// h2, h3, ... and the densities of all layers.
template <class T>
void draw_layers_above(const StepInput<T>& in, StepTrace<T>& t) {
  const VaeConfig& c = in.vae->config();
  const std::size_t R = in.rows.size() * std::size_t(in.options.samples);
  const T lo = T(c.clamp.lo), hi = T(c.clamp.hi);
  const auto clamped = [&](const std::vector<T>& log_var) {
    return std::ranges::count_if(log_var, [&](T v) { return v < lo || v > hi; });
  };
  t.latent.log_pz.assign(R, T(0));
  std::vector<T> below = t.latent.z;
  for (std::size_t i = 0; i < c.above.size(); ++i) {
    const std::size_t Y = below.size() / R, Z = std::size_t(c.above[i].latent);
    const std::vector<std::int64_t>& hidden = c.above[i].hidden;
    const std::string number = std::to_string(i + 2);
    LayerAboveTrace<T> layer;
    layer.encoder = mlp_layers(in, "encoder" + number, int(Y), hidden, int(2 * Z));
    layer.decoder = mlp_layers(in, "decoder" + number, int(Z), {hidden.rbegin(), hidden.rend()}, int(2 * Y));
    layer.below = below;
    layer.posterior = mlp_forward(layer.encoder, below, int(R));
    for (std::size_t r = 0; r < R; ++r) {
      const std::vector<T> log_var = part_of(layer.posterior, r, 2 * Z, Z, Z);
      const auto drawn = conditional_draw<T>(part_of(layer.posterior, r, 2 * Z, 0, Z), log_var,
                                             noise_above(in, i, r), lo, hi);
      layer.h.insert(layer.h.end(), drawn.z.begin(), drawn.z.end());
      t.latent.log_qz[r] += drawn.log_q;
      if (i + 1 == c.above.size()) t.latent.log_pz[r] += drawn.log_standard;
      t.clamped += clamped(log_var);
    }
    layer.prior = mlp_forward(layer.decoder, layer.h, int(R));
    for (std::size_t r = 0; r < R; ++r) {
      const std::vector<T> log_var = part_of(layer.prior, r, 2 * Y, Y, Y);
      t.latent.log_pz[r] += diagonal_gaussian_log_density(
          part_of(below, r, Y, 0, Y), part_of(layer.prior, r, 2 * Y, 0, Y), log_var, lo, hi);
      t.clamped += clamped(log_var);
    }
    below = layer.h;
    t.above.push_back(std::move(layer));
  }
  for (std::size_t b = 0; b < in.rows.size(); ++b) {
    const std::size_t S = R / in.rows.size();
    t.latent.kl[b] = 0;
    for (std::size_t r = b * S; r < (b + 1) * S; ++r)
      t.latent.kl[b] += (t.latent.log_qz[r] - t.latent.log_pz[r]) / T(S);
  }
}

/// The gradients of the networks above, and the gradient by h1 with the layers' share: up, along log
/// p(h_{l-1}|h_l), then down, along log q(h_l|h_{l-1}), when each h_l has its whole gradient.
template <class T>
std::vector<T> layers_above_backward(const StepInput<T>& in, StepTrace<T>& t) {
  using Vector = std::vector<Traced<T>>;
  const VaeConfig& c = in.vae->config();
  const std::size_t R = t.weight.size(), S = R / in.rows.size(), L = t.above.size();
  const Traced<T> lo = T(c.clamp.lo), hi = T(c.clamp.hi);
  const auto scale = [&](std::size_t r) { return t.weight[r] * T(in.rates.beta) / T(in.rows.size()); };
  std::vector<T> grad_h1 = t.grad_z;
  const auto grad_below = [&](std::size_t i) -> std::vector<T>& {
    return i == 0 ? grad_h1 : t.above[i - 1].grad_h;
  };
  for (std::size_t i = 0; i < L; ++i) {
    LayerAboveTrace<T>& layer = t.above[i];
    const std::size_t Y = layer.below.size() / R;
    for (std::size_t r = 0; r < R; ++r) {
      std::vector<T> x = part_of(layer.below, r, Y, 0, Y);
      const std::vector<T> prior = part_of(layer.prior, r, 2 * Y, 0, 2 * Y);
      x.insert(x.end(), prior.begin(), prior.end());
      const std::vector<T> g = gradient_of(t, r / S, x, [&](const Vector& at) {
        return -scale(r) * diagonal_gaussian_log_density(part_of(at, 0, 0, 0, Y), part_of(at, 0, 0, Y, Y),
                                                         part_of(at, 0, 0, 2 * Y, Y), lo, hi);
      });
      for (std::size_t d = 0; d < Y; ++d) grad_below(i)[r * Y + d] += g[d];
      layer.grad_prior.insert(layer.grad_prior.end(), g.begin() + std::int64_t(Y), g.end());
    }
    layer.grad_h = mlp_backward(layer.decoder, layer.grad_prior, int(R), t.gradient);
  }
  for (std::size_t i = L; i-- > 0;) {
    LayerAboveTrace<T>& layer = t.above[i];
    const std::size_t Z = layer.h.size() / R;
    for (std::size_t r = 0; r < R; ++r) {
      const std::vector<T> eps = noise_above(in, i, r);
      const std::vector<T> g =
          gradient_of(t, r / S, part_of(layer.posterior, r, 2 * Z, 0, 2 * Z), [&](const Vector& at) {
            const auto drawn = conditional_draw<Traced<T>>(part_of(at, 0, 0, 0, Z), part_of(at, 0, 0, Z, Z),
                                                           {eps.begin(), eps.end()}, lo, hi);
            Traced<T> loss = scale(r) * drawn.log_q;
            if (i + 1 == L) loss -= scale(r) * drawn.log_standard;
            for (std::size_t d = 0; d < Z; ++d) loss += layer.grad_h[r * Z + d] * drawn.z[d];
            return loss;
          });
      layer.grad_posterior.insert(layer.grad_posterior.end(), g.begin(), g.end());
    }
    layer.grad_below = mlp_backward(layer.encoder, layer.grad_posterior, int(R), t.gradient);
    for (std::size_t k = 0; k < layer.grad_below.size(); ++k) grad_below(i)[k] += layer.grad_below[k];
  }
  return grad_h1;
}

// --- The whole

/// What the encoder reads: the batch (B, X), or the logarithms of its counts, and behind it pseudo-inputs.
template <class T>
std::vector<T> encoder_input(const StepInput<T>& in, std::vector<T> x) {
  if (in.vae->config().likelihood.observations() == Observations::kCounts) {
    for (T& value : x) value = log_count(value);
  }
  if (in.vae->config().prior.family == PriorFamily::kVamp) {
    const std::vector<T> pseudo = tensor_of(in.parameters, entry_of(*in.vae, "prior.pseudo_inputs"));
    x.insert(x.end(), pseudo.begin(), pseudo.end());
  }
  return x;
}

/// From the data to the loss.
template <class T>
StepTrace<T> step_forward(const StepInput<T>& in) {
  const VaeConfig& c = in.vae->config();
  const int B = static_cast<int>(in.rows.size()), S = in.options.samples;
  const int X = static_cast<int>(c.dimensions), Z = static_cast<int>(c.latent);
  const int E = static_cast<int>(c.posterior.outputs(c.latent));
  StepTrace<T> t;
  t.encoder = mlp_layers(in, "encoder", X, c.hidden, E);
  t.decoder = mlp_layers(in, "decoder", Z, {c.hidden.rbegin(), c.hidden.rend()}, c.likelihood.outputs() * X);

  const std::vector<T> x = minibatch(in), input = encoder_input(in, x);
  const std::vector<T> encoded = mlp_forward(t.encoder, input, static_cast<int>(input.size()) / X);
  t.posterior.assign(encoded.begin(), encoded.begin() + std::int64_t{B} * E);
  t.pseudo.assign(encoded.begin() + std::int64_t{B} * E, encoded.end());
  t.latent = latent_of(in).template terms<T>({t.posterior, t.pseudo, in.parameters});
  if (!c.above.empty()) draw_layers_above(in, t);
  t.likelihood_input = {.data = B, .samples = S, .dimensions = X, .x = x};
  t.likelihood_input.output = mlp_forward(t.decoder, t.latent.code, B * S);
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
  const int B = static_cast<int>(in.rows.size()), S = in.options.samples;
  t.gradient.assign(in.parameters.size(), T(0));
  t.largest.assign(in.rows.size(), 0.0);
  weigh_gradients(in, t);
  t.grad_z = mlp_backward(t.decoder, t.likelihood.grad_output, B * S, t.gradient);
  if (!t.likelihood.grad_own.empty()) {
    std::ranges::copy(t.likelihood.grad_own,
                      t.gradient.begin() + entry_of(*in.vae, "likelihood.log_var").offset);
  }
  draw_backward(in, t, t.above.empty() ? t.grad_z : layers_above_backward(in, t));
  std::vector<T> grad_encoded = t.grad_posterior;
  grad_encoded.insert(grad_encoded.end(), t.grad_pseudo.begin(), t.grad_pseudo.end());
  const int rows = B + static_cast<int>(in.vae->pseudo_rows());
  const std::vector<T> grad_input = mlp_backward(t.encoder, grad_encoded, rows, t.gradient);
  if (!t.grad_pseudo.empty())
    std::copy(grad_input.begin() + B * in.vae->config().dimensions, grad_input.end(),
              t.gradient.begin() + entry_of(*in.vae, "prior.pseudo_inputs").offset);
  return t;
}

}  // namespace felbo::reference
