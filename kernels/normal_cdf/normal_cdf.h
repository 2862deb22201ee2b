// The normal distribution function, which carries z ~ N(0, I) to the unit cube: with the decoder reading
//
//   u = Phi(z) = 1/2 erfc(-z / sqrt 2)
//
// the prior of u is uniform, and since the map is one to one, KL(q(u|x) || U) = KL(q(z|x) || N(0, I)) keeps
// its closed form.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/view.h"

namespace felbo {

/// T: how z and u are stored.
template <class T>
struct NormalCdfArgsOf {
  View<const T, 1> z;  // (N)
  View<T, 1> u;        // (N)
};
using NormalCdfArgs = NormalCdfArgsOf<float>;

/// u is within (12 + z^2) roundings of Phi(z) for z <= 0, and of 1 for z > 0, then rounded to T; 0 below
/// -13.2. A NaN is kept. Throws std::invalid_argument if shapes disagree.
void normal_cdf(const CpuExec& exec, const NormalCdfArgs& args);
void normal_cdf(const CudaExec& exec, const NormalCdfArgs& args);
void normal_cdf(const CudaExec& exec, const NormalCdfArgsOf<BFloat16>& args);

template <class T>
struct NormalCdfGradArgsOf {
  View<const T, 1> z;  // (N)
  View<T, 1> grad;     // (N) in: the gradient over u; out: grad_u exp(-z^2 / 2) / sqrt(2 pi), that over z
};
using NormalCdfGradArgs = NormalCdfGradArgsOf<float>;

/// Throws std::invalid_argument if shapes disagree.
void normal_cdf_backward(const CpuExec& exec, const NormalCdfGradArgs& args);
void normal_cdf_backward(const CudaExec& exec, const NormalCdfGradArgs& args);
void normal_cdf_backward(const CudaExec& exec, const NormalCdfGradArgsOf<BFloat16>& args);

}  // namespace felbo
