#include "benchmarks/unfused.cuh"
#include "kernels/common/cuda/launch.h"

namespace felbo::bench {
namespace {

unsigned quad_blocks(std::int64_t rows, std::int64_t cols) {
  return blocks_for(rows * quads(cols), kUnfusedBlock);
}

}  // namespace

void unfused_sample(const CudaExec& exec, const UnfusedArgs& a) {
  launch(exec, unfused_sample_quads, quad_blocks(a.mu.rows, a.mu.cols), kUnfusedBlock, 0, a);
}

void unfused_kl(const CudaExec& exec, const UnfusedArgs& a) {
  with_row_threads(a.mu.cols, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, unfused_kl_rows<threads()>, blocks_for(a.mu.rows, Group::kRows), Group::kBlock, 0, a);
  });
}

void unfused_likelihood_gradient(const CudaExec& exec, UnfusedLikelihood which, const UnfusedArgs& a) {
  with_unfused_family(which, [&]<class Family>(const Family& family) {
    launch(exec, unfused_likelihood_quads<Family>, quad_blocks(a.x.rows, a.x.cols), kUnfusedBlock, 0, family,
           a);
  });
}

void unfused_kl_gradient(const CudaExec& exec, const UnfusedArgs& a) {
  launch(exec, unfused_kl_gradient_quads, quad_blocks(a.mu.rows, a.mu.cols), kUnfusedBlock, 0, a);
}

void unfused_sample_gradient(const CudaExec& exec, const UnfusedArgs& a) {
  launch(exec, unfused_sample_gradient_quads, quad_blocks(a.mu.rows, a.mu.cols), kUnfusedBlock, 0, a);
}

}  // namespace felbo::bench
