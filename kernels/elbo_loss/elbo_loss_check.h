// What every elbo_loss refuses, and the factors of its gradients.
#pragma once

#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/common/log_var_check.h"
#include "kernels/elbo_loss/elbo_loss.h"
#include "kernels/likelihood/row.h"

namespace felbo {
namespace elbo_loss_detail {

inline void check_size(const char* name, std::int64_t size, std::int64_t expected) {
  FELBO_CHECK(size == expected, "elbo_loss: {} must have {} elements, got {}", name, expected, size);
}
template <class T>
void check_shape(const char* name, const View<T, 2>& view, std::int64_t rows, std::int64_t cols) {
  FELBO_CHECK(view.rows == rows && view.cols == cols, "elbo_loss: {} must be {} x {}, got {} x {}", name,
              rows, cols, view.rows, view.cols);
}

template <class Data>
void check_divisor(float divisor) {
  if constexpr (std::is_same_v<Data, float>) {
    FELBO_CHECK(divisor == 1.0f, "elbo_loss: floats are not divided, so divisor must be 1, got {}", divisor);
  } else {
    using gather_math::ByteIntensity;
    FELBO_CHECK(divisor >= ByteIntensity::kSmallest && divisor <= ByteIntensity::kLargest,
                "elbo_loss: divisor must lie in [{}, {}], got {}", ByteIntensity::kSmallest,
                ByteIntensity::kLargest, divisor);
  }
}

inline void check_variance(const Likelihood& which, std::int64_t dimensions) {
  FELBO_CHECK(
      which.family == LikelihoodFamily::kBernoulli || which.family == LikelihoodFamily::kGaussian,
      "elbo_loss: p(x|z) must be bernoulli or gaussian; for other families use likelihood(), elbo() and "
      "reparameterize_backward()");
  which.check();
  FELBO_CHECK(
      which.own_parameters(dimensions) == 0,
      "elbo_loss: a variance that the likelihood learns (\"learned\", \"per-dimension\") has a gradient "
      "summed over the batch, which one launch cannot finish; use likelihood(), elbo() and "
      "reparameterize_backward(), or another variance");
}

template <class Data>
void check_gradients(const ElboLossArgs<Data>& a) {
  check_shape("grad_output", a.grad_output, a.output.rows, a.output.cols);
  check_shape("grad_mu", a.grad_mu, a.mu.rows, a.mu.cols);
  check_shape("grad_log_var", a.grad_log_var, a.mu.rows, a.mu.cols);
  FELBO_CHECK(a.grad_output.data != a.output.data || a.grad_output.stride == a.output.stride,
              "elbo_loss: grad_output begins where output does, but its rows are {} elements apart, not {}",
              a.grad_output.stride, a.output.stride);
}

}  // namespace elbo_loss_detail

template <class Data>
void check(const Likelihood& which, const ElboLossArgs<Data>& a) {
  using namespace elbo_loss_detail;
  check_variance(which, a.x.cols);
  check_divisor<Data>(a.divisor);
  FELBO_CHECK(a.x.cols >= 1, "elbo_loss: x has no columns");
  FELBO_CHECK(a.samples >= 1, "elbo_loss: samples must be at least 1, got {}", a.samples);
  check_log_var_clamp("elbo_loss", a.clamp);
  const std::int64_t batch = a.x.rows, rows = batch * a.samples;
  check_shape("output", a.output, rows, which.outputs() * a.x.cols);
  check_shape("mu", a.mu, batch, a.mu.cols);
  check_shape("log_var", a.log_var, batch, a.mu.cols);
  check_size("log_px_given_z", a.log_px_given_z.size, rows);
  check_size("kl", a.kl.size, batch);
  check_size("elbo", a.elbo.size, batch);
  check_size("clamped", a.clamped.size, rows);
  check_size("posterior_clamped", a.posterior_clamped.size, batch);
  if (a.want_gradient) check_gradients(a);
}

/// What the host works out once for all data.
template <class Data>
struct ElboLossFactors {
  float log_px;  // what d log p(x|z) is multiplied by in the loss's gradient
  XScale<Data> x;

  static ElboLossFactors of(const ElboLossArgs<Data>& a) {
    return {-a.loss_scale / static_cast<float>(a.samples), XScale<Data>::of(a.divisor)};
  }
};

/// What d KL is multiplied by. To be called where ops run.
template <class Data>
FELBO_HD float kl_factor(const ElboLossArgs<Data>& a) {
  return math::mul(a.loss_scale, a.beta.get());
}

}  // namespace felbo
