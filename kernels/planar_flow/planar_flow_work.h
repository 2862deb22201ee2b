// What planar_flow() and its backward move and compute for chains of T steps, if z stays in registers or
// caches from step to step.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

/// The parameters read, z and log q read and written, a_t written. A dimension of a datum's step: w.u and w.w
/// 4; of a sample's: w.z 2, u^ 2, z 2.
constexpr Work planar_flow_work(std::int64_t batch, std::int64_t latent, std::int64_t samples,
                                std::int64_t steps) {
  return work_of(batch * steps * latent, 8.0, 4.0) + work_of(batch * steps, 4.0, 0.0) +
         work_of(batch * samples * steps * latent, 0.0, 6.0) + work_of(batch * samples * latent, 8.0, 0.0) +
         work_of(batch * samples * (2 + steps), 4.0, 0.0);
}

/// The parameters and a_t read, their gradients written, z and its gradient read and written. A dimension of
/// a datum's step: w.u and w.w 4; of a sample's: g.u and g.w 4, z 4, its gradient 2, those of u and w 3 and
/// 7, and 2 to add these to other samples'.
constexpr Work planar_flow_backward_work(std::int64_t batch, std::int64_t latent, std::int64_t samples,
                                         std::int64_t steps) {
  return work_of(batch * steps * latent, 16.0, 4.0) + work_of(batch * steps, 8.0, 0.0) +
         work_of(batch * samples * steps * latent, 0.0, 20.0) +
         work_of(batch * (samples - 1) * steps * latent, 0.0, 2.0) +
         work_of(batch * samples * latent, 16.0, 0.0) + work_of(batch * samples * steps, 4.0, 0.0);
}

}  // namespace felbo
