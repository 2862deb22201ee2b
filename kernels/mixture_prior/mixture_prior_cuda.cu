#include "kernels/common/cuda/launch.h"
#include "kernels/mixture_prior/mixture_prior.cuh"
#include "kernels/mixture_prior/mixture_prior_check.h"

namespace felbo {
namespace {

constexpr std::int64_t kMostComponents = 65535;  // blocks along a grid's second extent

}  // namespace

void mixture_prior(const CudaExec& exec, const MixturePriorArgs& a) {
  check(a);
  launch(exec, mixture_table, blocks_for(a.mixture.mu.rows, 1), kMixtureTableBlock, 0, a.mixture, a.scratch);
  with_row_threads(a.z.cols, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, mixture_rows<threads()>, blocks_for(a.z.rows, Group::kRows), Group::kBlock, 0, a);
  });
}

void mixture_prior_backward(const CudaExec& exec, const MixturePriorGradArgs& a) {
  check(a);
  const std::int64_t K = a.mixture.mu.rows;
  FELBO_CHECK(K <= kMostComponents, "mixture_prior: {} components, a GPU takes {}", K, kMostComponents);
  launch(exec, mixture_grad_z, blocks_for(a.z.rows * a.z.cols, kMixtureGradBlock), kMixtureGradBlock, 0, a);
  if (a.grad_mu.empty()) return;
  launch(exec, mixture_grad_columns, dim3(blocks_for(a.z.cols, kMixtureColumns), static_cast<unsigned>(K)),
         kMixtureColumns * kMixtureRows, 0, a);
  if (!a.grad_logit.empty()) {
    launch(exec, mixture_grad_logits, blocks_for(K, 1), kMixtureGradBlock, 0, a);
  }
}

}  // namespace felbo
