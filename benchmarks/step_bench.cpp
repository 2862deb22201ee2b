#include "benchmarks/step_bench.h"

#include <dnnl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>

#include "benchmarks/timer.h"
#include "host/train/shuffle.h"
#include "host/train/training_step.h"

namespace felbo::bench {
namespace {

/// (m, k) by (k, n), row-major.
struct Product {
  char op_a, op_b;
  std::int64_t m, n, k;
};

/// The products of a step: one a layer forward, the weights' gradient, and the input's but for the first
/// layer.
std::vector<Product> products_of(const Vae& vae, std::int64_t batch) {
  std::vector<Product> products;
  for (const Mlp* mlp : {&vae.encoder(), &vae.decoder()}) {
    for (const Layer& layer : mlp->layers()) {
      products.push_back({'N', 'N', batch, layer.out, layer.in});
      products.push_back({'T', 'N', layer.in, layer.out, batch});
      if (&layer != &vae.encoder().layers().front())
        products.push_back({'N', 'T', batch, layer.in, layer.out});
    }
  }
  return products;
}

DataPart random_bytes(std::int64_t rows, std::int64_t cols) {
  DataPart part{.rows = rows, .cols = cols};
  part.bytes.resize(static_cast<std::size_t>(rows * cols));
  std::uint32_t word = 1;
  for (std::uint8_t& byte : part.bytes) {
    word = word * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(word >> 24);
  }
  return part;
}

/// The products alone, in the order of the step.
class Products {
 public:
  Products(const CpuExec& exec, const Vae& vae, std::int64_t batch)
      : exec_(exec), products_(products_of(vae, batch)) {
    for (const Product& p : products_) {
      a_.emplace_back(exec, p.m * p.k);
      b_.emplace_back(exec, p.k * p.n);
      c_.emplace_back(exec, p.m * p.n);
      std::ranges::fill(a_.back().host(), 0.5f);
      std::ranges::fill(b_.back().host(), 0.25f);
    }
  }
  void operator()() const {
    omp_set_num_threads(exec_.threads());
    for (std::size_t i = 0; i < products_.size(); ++i) {
      const Product& p = products_[i];
      dnnl_sgemm(p.op_a, p.op_b, p.m, p.n, p.k, 1.0f, a_[i].data(), p.op_a == 'N' ? p.k : p.m, b_[i].data(),
                 p.op_b == 'N' ? p.n : p.k, 0.0f, c_[i].data(), p.n);
    }
  }

 private:
  const CpuExec& exec_;
  std::vector<Product> products_;
  std::vector<Buffer<CpuExec, float>> a_, b_, c_;
};

#if FELBO_WITH_CUDA
/// The dense layers alone, forward and backward. T: as TrainingStep's.
template <class T>
class DenseLayers {
 public:
  DenseLayers(const CudaExec& exec, const Vae& vae, const ModelState<CudaExec>& state, std::int64_t batch)
      : exec_(exec),
        vae_(vae),
        state_(state),
        batch_(batch),
        work_(exec, vae, batch, 1, true),
        rounded_(exec, kRounds ? vae.table().size() : 0),
        gradient_(exec, vae.table().size()) {
    if constexpr (kRounds) round_to_bfloat16(exec, {state.parameters.view(), rounded_.view()});
  }

  void operator()() {
    replay_(exec_, [&] {
      const MlpParameters<T> parameters = this->parameters();
      const View<const T, 2> x = input();
      const View<T, 2> z = work_.z.matrix(batch_, vae_.config().latent);
      const View<T, 2> grad_posterior = work_.grad_posterior.matrix(batch_, 2 * vae_.config().latent);
      forward(exec_, vae_.encoder(), parameters, vae_.table(), x, work_.encoder);
      forward(exec_, vae_.decoder(), parameters, vae_.table(), z, work_.decoder);
      backward(exec_, vae_.decoder(), parameters, vae_.table(), z, work_.decoder,
               work_.decoder.result(vae_.decoder(), batch_), gradient_.view(),
               work_.grad_z.matrix(batch_, vae_.config().latent));
      backward(exec_, vae_.encoder(), parameters, vae_.table(), x, work_.encoder, grad_posterior,
               gradient_.view(), {});
    });
  }

 private:
  static constexpr bool kRounds = !std::is_same_v<T, float>;
  MlpParameters<T> parameters() const {
    if constexpr (kRounds) {
      return {rounded_.view(), state_.parameters.view()};
    } else {
      return {state_.parameters.view()};
    }
  }
  View<const T, 2> input() const {
    if constexpr (kRounds) {
      return work_.input.matrix(batch_, vae_.config().dimensions);
    } else {
      return work_.x.matrix(batch_, vae_.config().dimensions);
    }
  }

  const CudaExec& exec_;
  const Vae& vae_;
  const ModelState<CudaExec>& state_;
  std::int64_t batch_;
  VaeWorkspace<CudaExec, T> work_;
  Buffer<CudaExec, BFloat16> rounded_;
  Buffer<CudaExec, float> gradient_;
  Replay<CudaExec> replay_;
};
#endif

template <class T>
Products products_alone(const CpuExec& exec, const Vae& vae, const ModelState<CpuExec>&, std::int64_t batch) {
  return {exec, vae, batch};
}
#if FELBO_WITH_CUDA
template <class T>
DenseLayers<T> products_alone(const CudaExec& exec, const Vae& vae, const ModelState<CudaExec>& state,
                              std::int64_t batch) {
  return {exec, vae, state, batch};
}
#endif

/// T: as TrainingStep's.
template <class T, class Exec>
StepTiming time_step_on(const Exec& exec, const StepShape& shape) {
  const std::int64_t X = shape.dimensions, batch = shape.batch;
  const std::int64_t rows = std::max<std::int64_t>(20000, batch);
  const DataPart part = random_bytes(rows, X);
  const ResidentData<Exec> data(exec, part);
  const Vae vae({.dimensions = X, .latent = shape.latent, .hidden = shape.hidden});
  ModelState<CpuExec> initial(CpuExec(1), vae);
  std::ranges::copy(initial_parameters(vae, {std::vector<double>(static_cast<std::size_t>(X), 0.5), 0.1}, 0),
                    initial.parameters.data());
  ModelState<Exec> state = state_on(exec, vae, std::move(initial));
  TrainingStep<Exec, T> step(exec, vae, data, state, {.max_batch = batch, .binarize = Binarize::kDynamic});
  const std::vector<std::uint32_t> order = epoch_order(0, 0, rows);
  const std::int64_t steps = rows / batch;
  const std::span<const std::uint32_t> full_batches{order.data(), static_cast<std::size_t>(steps * batch)};
  const std::vector<StepRates> rates(static_cast<std::size_t>(steps), {.lr = 1e-4});
  std::int64_t taken = 0;
  const auto one_step = [&] {
    if (taken++ % steps == 0) step.begin(full_batches, rates);
    step();
  };
  auto products = products_alone<T>(exec, vae, state, batch);
  const PairedTiming timing = time_in_pairs(
      exec, [&] { products(); }, one_step, 15, 0.15);
  double flops = 0.0;
  for (const Product& p : products_of(vae, batch)) flops += 2.0 * static_cast<double>(p.m * p.n * p.k);
  return {name_of(shape), batch, timing.second, timing.first, timing.ratio, flops};
}

StepTiming time_step_in(const CpuExec& exec, const StepShape& shape, Precision) {
  return time_step_on<float>(exec, shape);
}
#if FELBO_WITH_CUDA
StepTiming time_step_in(const CudaExec& exec, const StepShape& shape, Precision precision) {
  const CudaExec in_precision = exec.with_precision(precision);
  if (precision == Precision::kBf16) return time_step_on<BFloat16>(in_precision, shape);
  return time_step_on<float>(in_precision, shape);
}
#endif

}  // namespace

std::string name_of(const StepShape& shape) {
  std::vector<std::int64_t> widths{shape.dimensions};
  widths.insert(widths.end(), shape.hidden.begin(), shape.hidden.end());
  widths.push_back(shape.latent);
  widths.insert(widths.end(), shape.hidden.rbegin(), shape.hidden.rend());
  widths.push_back(shape.dimensions);
  return fmt::format("{}", fmt::join(widths, "-"));
}

StepTiming time_step(const StepShape& shape, Precision precision) {
  return on_device([&](const auto& exec) { return time_step_in(exec, shape, precision); });
}

}  // namespace felbo::bench
