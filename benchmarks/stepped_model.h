// A training step that can be taken again and again, with all that it stands on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "benchmarks/bench_exec.h"
#include "host/train/shuffle.h"
#include "host/train/training_step.h"

namespace felbo::bench {

/// A Bernoulli VAE X-H-...-Z-...-H-X with ReLU, trained on batches of B with S samples of z a datum.
struct StepShape {
  std::int64_t dimensions;
  std::vector<std::int64_t> hidden;
  std::int64_t latent, batch;
  int samples = 1;
};

inline Vae model_of(const StepShape& shape) {
  return Vae({.dimensions = shape.dimensions, .latent = shape.latent, .hidden = shape.hidden});
}

/// `rows` x `cols` bytes, each value as likely as another.
inline DataPart random_bytes(std::int64_t rows, std::int64_t cols) {
  DataPart part{.rows = rows, .cols = cols};
  part.bytes.resize(static_cast<std::size_t>(rows * cols));
  std::uint32_t word = 1;
  for (std::uint8_t& byte : part.bytes) {
    word = word * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(word >> 24);
  }
  return part;
}

/// The way of the data from the gather of dynamically binarised bytes to Adam. T: as TrainingStep's.
template <class Exec, class T>
class SteppedModel {
 public:
  SteppedModel(const Exec& exec, const StepShape& shape)
      : vae_(model_of(shape)),
        batch_(shape.batch),
        rows_(std::max<std::int64_t>(20000, shape.batch)),
        part_(random_bytes(rows_, shape.dimensions)),
        data_(exec, part_),
        state_(state_on(exec, vae_, initial_state(vae_))),
        step_(exec, vae_, data_, state_,
              {.max_batch = shape.batch, .samples = shape.samples, .binarize = Binarize::kDynamic}),
        order_(epoch_order(0, 0, rows_)),
        rates_(static_cast<std::size_t>(rows_ / batch_), {.lr = 1e-4}) {}
  SteppedModel(const SteppedModel&) = delete;  // the step points at its neighbours
  SteppedModel& operator=(const SteppedModel&) = delete;

  /// Sees to it that a step is laid out, which waits for the device.
  void lay_out() {
    if (left_ > 0) return;
    left_ = rows_ / batch_;
    step_.begin(std::span(order_).first(static_cast<std::size_t>(left_ * batch_)), rates_);
  }
  /// Takes a step on a full batch.
  void operator()() {
    lay_out();
    --left_;
    step_();
  }
  const Vae& vae() const { return vae_; }
  const ModelState<Exec>& state() const { return state_; }

 private:
  static ModelState<CpuExec> initial_state(const Vae& vae) {
    const auto X = static_cast<std::size_t>(vae.config().dimensions);
    ModelState<CpuExec> state(CpuExec(1), vae);
    std::ranges::copy(initial_parameters(vae, {std::vector<double>(X, 0.5), 0.1}, 0),
                      state.parameters.data());
    return state;
  }

  Vae vae_;
  std::int64_t batch_, rows_;
  DataPart part_;
  ResidentData<Exec> data_;
  ModelState<Exec> state_;
  TrainingStep<Exec, T> step_;
  std::vector<std::uint32_t> order_;
  std::vector<StepRates> rates_;
  std::int64_t left_ = 0;
};

}  // namespace felbo::bench
