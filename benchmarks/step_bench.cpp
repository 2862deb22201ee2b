#include "benchmarks/step_bench.h"

#include <dnnl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "benchmarks/launches.h"
#include "benchmarks/timer.h"

namespace felbo::bench {
namespace {

/// (m, k) by (k, n), row-major.
struct Product {
  char op_a, op_b;
  std::int64_t m, n, k;
};

/// The products of a step: one a layer forward, the weights' gradient, and the input's but for the first
/// layer.
std::vector<Product> products_of(const Vae& vae, std::int64_t batch, int samples) {
  std::vector<Product> products;
  for (const Mlp* mlp : {&vae.encoder(), &vae.decoder()}) {
    const std::int64_t rows = mlp == &vae.encoder() ? batch : batch * samples;
    for (const Layer& layer : mlp->layers()) {
      products.push_back({'N', 'N', rows, layer.out, layer.in});
      products.push_back({'T', 'N', layer.in, layer.out, rows});
      if (&layer != &vae.encoder().layers().front())
        products.push_back({'N', 'T', rows, layer.in, layer.out});
    }
  }
  return products;
}

/// The products alone, in the order of the step.
class Products {
 public:
  Products(const CpuExec& exec, const Vae& vae, std::int64_t batch, int samples)
      : exec_(exec), products_(products_of(vae, batch, samples)) {
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
  DenseLayers(const CudaExec& exec, const Vae& vae, const ModelState<CudaExec>& state, std::int64_t batch,
              int samples)
      : exec_(exec),
        vae_(vae),
        state_(state),
        batch_(batch),
        rows_(batch * samples),
        work_(exec, vae, batch, samples, true),
        rounded_(exec, kRounds ? vae.table().size() : 0),
        gradient_(exec, vae.table().size()) {
    if constexpr (kRounds) round_to_bfloat16(exec, {state.parameters.view(), rounded_.view()});
  }

  void operator()() {
    replay_(exec_, [&] {
      const MlpParameters<T> parameters = this->parameters();
      const View<const T, 2> x = input();
      const View<T, 2> z = work_.z.matrix(rows_, vae_.config().latent);
      const View<T, 2> grad_posterior = work_.grad_posterior.matrix(batch_, 2 * vae_.config().latent);
      forward(exec_, vae_.encoder(), parameters, vae_.table(), x, work_.encoder);
      forward(exec_, vae_.decoder(), parameters, vae_.table(), z, work_.decoder);
      backward(exec_, vae_.decoder(), parameters, vae_.table(), z, work_.decoder,
               work_.decoder.result(vae_.decoder(), rows_), gradient_.view(),
               work_.grad_z.matrix(rows_, vae_.config().latent));
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
  std::int64_t batch_, rows_;  // of the encoder, of the decoder
  VaeWorkspace<CudaExec, T> work_;
  Buffer<CudaExec, BFloat16> rounded_;
  Buffer<CudaExec, float> gradient_;
  Replay<CudaExec> replay_;
};
#endif

template <class T>
Products products_alone(const CpuExec& exec, const Vae& vae, const ModelState<CpuExec>&, std::int64_t batch,
                        int samples) {
  return {exec, vae, batch, samples};
}
#if FELBO_WITH_CUDA
template <class T>
DenseLayers<T> products_alone(const CudaExec& exec, const Vae& vae, const ModelState<CudaExec>& state,
                              std::int64_t batch, int samples) {
  return {exec, vae, state, batch, samples};
}
#endif

/// T: as TrainingStep's.
template <class T, class Exec>
StepTiming time_step_on(const Exec& exec, const StepShape& shape) {
  const std::int64_t launches = launches_of_step<T>(exec, shape);
  SteppedModel<Exec, T> step(exec, shape);
  auto products = products_alone<T>(exec, step.vae(), step.state(), shape.batch, shape.samples);
  const PairedTiming timing = time_in_pairs(
      exec, [&] { products(); }, [&] { step(); }, 15, 0.15);
  double flops = 0.0;
  for (const Product& p : products_of(step.vae(), shape.batch, shape.samples))
    flops += 2.0 * static_cast<double>(p.m * p.n * p.k);
  return {name_of(shape), shape.batch, timing.second, timing.first, timing.ratio, flops, launches};
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
