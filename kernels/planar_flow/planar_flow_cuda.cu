#include "kernels/common/cuda/launch.h"
#include "kernels/planar_flow/planar_flow.cuh"
#include "kernels/planar_flow/planar_flow_check.h"

namespace felbo {
namespace {

template <int kThreads>
void forward(const CudaExec& exec, const PlanarFlowArgs& a) {
  using Group = RowGroup<kThreads>;
  launch(exec, planar_flow_rows<kThreads>, blocks_for(a.z.rows, Group::kRows), Group::kBlock, 0, a,
         planar_flow_steps(a));
}

template <int kThreads>
void backward(const CudaExec& exec, const PlanarFlowGradArgs& a) {
  using Group = RowGroup<kThreads>;
  launch(exec, planar_flow_grad<kThreads>, blocks_for(a.flow.rows, Group::kRows), Group::kBlock, 0, a,
         planar_flow_steps(a));
}

}  // namespace

void planar_flow(const CudaExec& exec, const PlanarFlowArgs& a) {
  check(a);
  with_row_threads(a.z.cols, [&](auto threads) { forward<threads()>(exec, a); });
}

void planar_flow_backward(const CudaExec& exec, const PlanarFlowGradArgs& a) {
  check(a);
  with_row_threads(a.z.cols, [&](auto threads) { backward<threads()>(exec, a); });
}

}  // namespace felbo
