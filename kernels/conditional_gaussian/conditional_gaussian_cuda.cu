#include "kernels/common/cuda/launch.h"
#include "kernels/conditional_gaussian/conditional_gaussian.cuh"
#include "kernels/conditional_gaussian/conditional_gaussian_check.h"

namespace felbo {
namespace {

unsigned blocks_of_quads(std::int64_t rows, std::int64_t cols) {
  return blocks_for(rows * quads(cols), kConditionalBlock);
}

}  // namespace

void conditional_draw(const CudaExec& exec, const ConditionalDrawArgs& a) {
  check(a);
  with_row_threads(a.mu.cols, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, conditional_draw_rows<threads()>, blocks_for(a.mu.rows, Group::kRows), Group::kBlock, 0, a);
  });
}

void conditional_draw_backward(const CudaExec& exec, const ConditionalDrawGradArgs& a) {
  check(a);
  launch(exec, conditional_draw_grad_quads, blocks_of_quads(a.mu.rows, a.mu.cols), kConditionalBlock, 0, a);
}

void conditional_density(const CudaExec& exec, const ConditionalDensityArgs& a) {
  check(a);
  with_row_threads(a.mu.cols, [&](auto threads) {
    using Group = RowGroup<threads()>;
    launch(exec, conditional_density_rows<threads()>, blocks_for(a.mu.rows, Group::kRows), Group::kBlock, 0,
           a);
  });
}

void conditional_density_backward(const CudaExec& exec, const ConditionalDensityGradArgs& a) {
  check(a);
  launch(exec, conditional_density_grad_quads, blocks_of_quads(a.mu.rows, a.mu.cols), kConditionalBlock, 0,
         a);
}

void add_gradient(const CudaExec& exec, const AddGradientArgs& a) {
  check(a);
  launch(exec, add_gradient_quads, blocks_of_quads(a.gradient.rows, a.gradient.cols), kConditionalBlock, 0,
         a);
}

}  // namespace felbo
