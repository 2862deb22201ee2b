#include <type_traits>

#include "kernels/common/cuda/launch.h"
#include "kernels/objective/objective.cuh"
#include "kernels/objective/objective_check.h"

namespace felbo {
namespace {

// Samples up to which a datum is worth one thread, or a warp.
constexpr int kOneThread = 4, kWarp = 1024;

/// Calls f(integral constant: threads a datum), chosen by the number of samples.
template <class F>
void with_threads(int samples, const F& f) {
  if (samples <= kOneThread) return f(std::integral_constant<int, 1>());
  if (samples <= kWarp) return f(std::integral_constant<int, 32>());
  f(std::integral_constant<int, 256>());
}

}  // namespace

void elbo(const CudaExec& exec, const ElboArgs& args) {
  check(args);
  const std::int64_t batch = args.kl.size;
  const auto bytes = static_cast<std::int64_t>(exec.workspace().size());
  FELBO_CHECK(batch * static_cast<std::int64_t>(sizeof(double)) <= bytes,
              "elbo: the means of {} data do not fit a workspace of {} bytes", batch, bytes);
  double* means = reinterpret_cast<double*>(exec.workspace().data());
  with_threads(args.samples, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, elbo_rows<threads()>, blocks_for(batch, Group::kRows), Group::kBlock, 0, args, means);
  });
  launch(exec, elbo_totals, batch > 0 ? 1 : 0, kTotalsBlock, 0, args, means);
}

void sampled_kl(const CudaExec& exec, const SampledKlArgs& args) {
  check(args);
  with_threads(args.samples, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, sampled_kl_rows<threads()>, blocks_for(args.kl.size, Group::kRows), Group::kBlock, 0, args);
  });
}

void log_mean_exp_update(const CudaExec& exec, const LogMeanExpArgs& args) {
  check(args);
  with_threads(args.samples, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, log_mean_exp_rows<threads()>, blocks_for(args.max.size, Group::kRows), Group::kBlock, 0,
           args);
  });
}

void importance_weights(const CudaExec& exec, const ImportanceWeightsArgs& args) {
  check(args);
  const std::int64_t batch = args.bound.size;
  with_threads(args.samples, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, importance_weight_rows<threads()>, blocks_for(batch, Group::kRows), Group::kBlock, 0, args);
  });
  launch(exec, importance_weight_total, batch > 0 ? 1 : 0, kTotalsBlock, 0, args);
}

}  // namespace felbo
