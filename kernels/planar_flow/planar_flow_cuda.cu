#include "kernels/common/cuda/launch.h"
#include "kernels/planar_flow/planar_flow.cuh"
#include "kernels/planar_flow/planar_flow_check.h"

namespace felbo {
namespace {

// Columns up to which a row is worth a quarter of a warp, or a warp. They decide the order of the sums, so
// they depend on the row alone.
constexpr std::int64_t kPartOfWarp = 64, kWarp = 2048;

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
  if (a.z.cols <= kPartOfWarp) return forward<8>(exec, a);
  if (a.z.cols <= kWarp) return forward<32>(exec, a);
  forward<256>(exec, a);
}

void planar_flow_backward(const CudaExec& exec, const PlanarFlowGradArgs& a) {
  check(a);
  if (a.z.cols <= kPartOfWarp) return backward<8>(exec, a);
  if (a.z.cols <= kWarp) return backward<32>(exec, a);
  backward<256>(exec, a);
}

}  // namespace felbo
