// What normal_cdf and its gradient refuse.
#pragma once

#include "kernels/common/check.h"
#include "kernels/normal_cdf/normal_cdf.h"

namespace felbo {

template <class T>
void check(const NormalCdfArgsOf<T>& args) {
  FELBO_CHECK(args.z.size == args.u.size, "normal_cdf: {} elements, but room for {}", args.z.size,
              args.u.size);
}
template <class T>
void check(const NormalCdfGradArgsOf<T>& args) {
  FELBO_CHECK(args.z.size == args.grad.size, "normal_cdf_backward: {} elements, but {} gradients",
              args.z.size, args.grad.size);
}

}  // namespace felbo
