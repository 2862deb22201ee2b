// Whole optimiser steps of small models: from the data to the new parameters.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/training_step_bound.h"
#include "host/data/resident_data.h"
#include "host/train/model_state.h"
#include "host/train/training_step.h"

namespace felbo::checks {

struct StepCase {
  std::string likelihood, variance;
  Activation activation;
  Binarize binarize;
  TrainingObjective objective = TrainingObjective::kElbo;
};

/// Bytes for a Bernoulli, normals for a Gaussian.
inline DataPart step_data(const StepCase& c) {
  DataPart part{.rows = 13, .cols = 33};
  std::vector<float> values(static_cast<std::size_t>(part.rows * part.cols));
  fill_normal({values.data(), part.rows, part.cols}, kInputSeed);
  if (c.likelihood == "gaussian") {
    part.floats = values;
    return part;
  }
  for (const float v : values)
    part.bytes.push_back(static_cast<std::uint8_t>(std::clamp(v * 90 + 128, 0.0f, 255.0f)));
  return part;
}

/// Every parameter a normal: weights by 1 / sqrt(in), the rest by 0.4; the padding stays 0.
inline std::vector<float> step_parameters(const Vae& vae) {
  std::vector<float> flat(static_cast<std::size_t>(vae.table().size()));
  std::uint64_t seed = kInputSeed;
  for (const ParameterEntry& entry : vae.table().entries()) {
    const float scale = entry.shape.size() == 2 ? 1.0f / std::sqrt(static_cast<float>(entry.shape[0])) : 0.4f;
    fill_normal(matrix_of(View<float, 1>{flat.data(), vae.table().size()}, entry), ++seed, scale);
  }
  return flat;
}

template <class Exec>
Values fetch(const Exec& exec, View<const float, 1> values) {
  const std::vector<float> host = to_host(exec, values);
  return {host.begin(), host.end()};
}

/// Two epochs of two steps, the last of each on fewer data: a device runs a size of batch op by op first,
/// then as a recording, and each step is judged from the state that it started from.
template <class Exec>
void check_training_step(const Exec& exec, const StepCase& c, Parity& parity) {
  const DataPart part = step_data(c);
  const ResidentData<Exec> data(exec, part);
  const Vae vae({.dimensions = part.cols,
                 .latent = 3,
                 .hidden = {17},
                 .activation = c.activation,
                 .likelihood = likelihood_from_names(c.likelihood, c.variance, {})});
  ModelState<Exec> state(exec, vae);
  upload(exec, step_parameters(vae), state.parameters.view());
  const TrainingStepOptions options{
      .max_batch = 7, .samples = 3, .objective = c.objective, .binarize = c.binarize, .seed = kNoiseSeed};
  TrainingStep<Exec> step(exec, vae, data, state, options);
  const std::vector<std::uint32_t> order{3, 0, 12, 7, 5, 1, 9, 11, 2, 6};
  const double beta = has_importance_weights(c.objective) ? 1.0 : 0.5;
  const std::vector<StepRates> rates{{1e-2, beta}, {5e-3, beta}};
  for (int taken = 0; taken < 4; ++taken) {
    parity.begin_case(fmt::format("step {}", taken));
    if (taken % 2 == 0) step.begin(order, rates);
    const std::vector<std::uint32_t> rows(order.begin() + 7 * (taken % 2),
                                          taken % 2 == 0 ? order.begin() + 7 : order.end());
    const ExpectedStep expected({&vae, &part, options, rows, state.step, fetch(exec, state.parameters.view()),
                                 rates[static_cast<std::size_t>(taken % 2)]},
                                fetch(exec, state.m.view()), fetch(exec, state.v.view()));
    step();
    expected.judge_gradient(parity, to_host(exec, step.gradient()));
    expected.judge_state(parity, fetch(exec, state.parameters.view()), fetch(exec, state.m.view()),
                         fetch(exec, state.v.view()));
    expected.judge_totals(parity, step.take_totals());
  }
}

template <class Exec>
void add_training_step_checks(std::vector<Check<Exec>>& checks) {
  const auto add = [&](const std::string& name, const StepCase& c) {
    checks.push_back({"training_step/" + name,
                      [c](const Exec& exec, Parity& parity) { check_training_step(exec, c, parity); }});
  };
  add("bernoulli, dynamic", {"bernoulli", "learned", Activation::kRelu, Binarize::kDynamic});
  add("gaussian, learned", {"gaussian", "learned", Activation::kTanh, Binarize::kNone});
  add("iwae", {"gaussian", "learned", Activation::kTanh, Binarize::kNone, TrainingObjective::kIwae});
  add("dreg", {"bernoulli", "learned", Activation::kTanh, Binarize::kDynamic, TrainingObjective::kDreg});
  add("stl", {"bernoulli", "learned", Activation::kTanh, Binarize::kDynamic, TrainingObjective::kStl});
}

}  // namespace felbo::checks
