#include "kernels/elbo_loss/elbo_loss_work.h"

#include "kernels/likelihood/likelihood.h"
#include "kernels/likelihood/likelihood_work.h"

namespace felbo {

Work elbo_loss_work(const Likelihood& which, std::int64_t batch, std::int64_t dimensions, std::int64_t latent,
                    std::int64_t samples, std::int64_t data_bytes, bool gradient) {
  const double passes = gradient ? 2.0 : 1.0, quotient = data_bytes == 1 ? 1.0 : 0.0;
  return work_of(batch * dimensions, static_cast<double>(data_bytes), 0.0) +
         work_of(batch * samples * dimensions, 4.0 * passes * which.outputs(),
                 likelihood_operations(which, gradient) + quotient) +
         work_of(batch * latent, 8.0 * passes, gradient ? 12.0 : 7.0);
}

}  // namespace felbo
