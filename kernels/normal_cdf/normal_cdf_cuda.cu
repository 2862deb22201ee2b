#include "kernels/common/cuda/launch.h"
#include "kernels/normal_cdf/normal_cdf.cuh"
#include "kernels/normal_cdf/normal_cdf_check.h"

namespace felbo {
namespace {

template <class T>
unsigned grid(std::int64_t elements) {
  return blocks_for(runs<T>(elements), kNormalCdfBlock);
}

template <class T>
void forward(const CudaExec& exec, const NormalCdfArgsOf<T>& args) {
  check(args);
  launch(exec, normal_cdf_runs<T>, grid<T>(args.z.size), kNormalCdfBlock, 0, args);
}

template <class T>
void backward(const CudaExec& exec, const NormalCdfGradArgsOf<T>& args) {
  check(args);
  launch(exec, normal_cdf_grad_runs<T>, grid<T>(args.z.size), kNormalCdfBlock, 0, args);
}

}  // namespace

void normal_cdf(const CudaExec& exec, const NormalCdfArgs& args) { forward(exec, args); }
void normal_cdf(const CudaExec& exec, const NormalCdfArgsOf<BFloat16>& args) { forward(exec, args); }

void normal_cdf_backward(const CudaExec& exec, const NormalCdfGradArgs& args) { backward(exec, args); }
void normal_cdf_backward(const CudaExec& exec, const NormalCdfGradArgsOf<BFloat16>& args) {
  backward(exec, args);
}

}  // namespace felbo
