#include <algorithm>

#include "kernels/common/lanes.h"
#include "kernels/common/math.h"
#include "kernels/covariance_factor/covariance_factor.h"
#include "kernels/covariance_factor/covariance_factor_check.h"
#include "kernels/noise/noise_rows.h"

namespace felbo {
namespace {

/// Some columns of a row of z with their noise.
struct Piece {
  std::int64_t row, col, count;
  const float* eps;
};

/// Calls f(piece) as for_each_noise() does.
template <class Args, class F>
void for_each_piece(const Args& a, std::int64_t latent, std::int64_t begin, std::int64_t end, const F& f) {
  for_each_noise(a.noise.now(), a.datum, a.first_sample, a.samples, begin, end, latent,
                 [&](std::int64_t row, std::int64_t col, std::int64_t count, const float* eps) {
                   f(Piece{row, col, count, eps});
                 });
}

/// Row i of a packed triangle from a piece's first column on, as far as the triangle and the piece go.
template <class T>
struct Run {
  Run(T* triangle, std::int64_t i, const Piece& piece)
      : data(triangle + below_diagonal(i) + piece.col), count(std::min(i - piece.col, piece.count)) {}
  T* data;
  std::int64_t count;
};

void multiply(const CovarianceFactorArgs& a, const Piece& piece) {
  const float *triangle = a.factor.row(piece.row / a.samples), *eps = piece.eps;
  float* z = a.z.row(piece.row);
  for (std::int64_t i = piece.col + 1; i < a.z.cols; ++i) {
    const Run factor(triangle, i, piece);
    const float* l = factor.data;
    z[i] += static_cast<float>(lane_sum(factor.count, [&](std::int64_t j) { return l[j] * eps[j]; }));
  }
}

void add_kl(const CovarianceFactorArgs& a, std::int64_t b) {
  const float* l = a.factor.row(b);
  const double squares = lane_sum(a.factor.cols, [&](std::int64_t k) { return l[k] * l[k]; });
  a.kl(b) = static_cast<float>(static_cast<double>(a.kl(b)) + 0.5 * squares);
}

void gradient(const CovarianceFactorGradArgs& a, const Piece& piece) {
  const std::int64_t b = piece.row / a.samples;
  const bool first = piece.row % a.samples == 0;
  const float *triangle = a.factor.row(b), *grad_z = a.grad_z.row(piece.row), *eps = piece.eps;
  const float kl_scale = a.kl_scale.get();
  for (std::int64_t i = piece.col + 1; i < a.grad_z.cols; ++i) {
    const Run to(a.grad_factor.row(b), i, piece);
    const float *factor = Run(triangle, i, piece).data, g = grad_z[i];
    float* __restrict grad = to.data;
    if (first) {
      for (std::int64_t j = 0; j < to.count; ++j)
        grad[j] = math::fma(g, eps[j], math::mul(kl_scale, factor[j]));
    } else {
      for (std::int64_t j = 0; j < to.count; ++j) grad[j] = math::fma(g, eps[j], grad[j]);
    }
  }
}

/// Data that are worth a thread: their noise, and the triangle for each sample.
std::int64_t grain(std::int64_t latent, int samples) {
  return 1 + 16384 / ((4 * latent + below_diagonal(latent)) * samples);
}

}  // namespace

void covariance_factor(const CpuExec& exec, const CovarianceFactorArgs& a) {
  check(a);
  exec.parallel_for(a.datum.size, grain(a.z.cols, a.samples), [&](std::int64_t begin, std::int64_t end) {
    if (!a.kl.empty()) {
      for (std::int64_t b = begin; b < end; ++b) add_kl(a, b);
    }
    for_each_piece(a, a.z.cols, begin * a.samples, end * a.samples,
                   [&](const Piece& piece) { multiply(a, piece); });
  });
}

void covariance_factor_backward(const CpuExec& exec, const CovarianceFactorGradArgs& a) {
  check(a);
  exec.parallel_for(a.datum.size, grain(a.grad_z.cols, a.samples), [&](std::int64_t begin, std::int64_t end) {
    for_each_piece(a, a.grad_z.cols, begin * a.samples, end * a.samples,
                   [&](const Piece& piece) { gradient(a, piece); });
  });
}

}  // namespace felbo
