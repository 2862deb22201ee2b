#include "host/oracle/exact_gap.h"

#include <algorithm>

#include "host/oracle/linear_vae.h"

namespace felbo::oracle {
namespace {

bool is_linear(const Vae& vae) {
  const VaeConfig& config = vae.config();
  return config.posterior.family == PosteriorFamily::kDiagonalGaussian &&
         config.prior.family == PriorFamily::kStandardNormal && config.hidden.empty() &&
         config.above.empty() && config.likelihood.family == LikelihoodFamily::kGaussian &&
         config.likelihood.variance != VarianceKind::kPerElement;
}

/// Whether a learned variance of the likelihood is held by its clamp.
bool is_held(const Vae& vae, std::span<const float> flat) {
  const View<const float, 1> own = vae.own(View<const float, 1>{flat.data(), vae.table().size()});
  return std::any_of(own.begin(), own.end(),
                     [&](float v) { return is_clamped(v, vae.config().likelihood.clamp); });
}

Vector row_of(const DataPart& part, std::int64_t n) {
  Vector x(part.cols);
  for (std::int64_t j = 0; j < part.cols; ++j) {
    const auto i = static_cast<std::size_t>(n * part.cols + j);
    x(j) =
        part.is_bytes() ? double(static_cast<float>(part.bytes[i]) / part.divisor) : double(part.floats[i]);
  }
  return x;
}

}  // namespace

std::optional<ExactGapParts> exact_gap_parts(const Vae& vae, std::span<const float> flat,
                                             const DataPart& part) {
  if (!is_linear(vae) || is_held(vae, flat) || part.is_sparse()) return std::nullopt;
  const LinearOracle oracle(linear_vae(vae, flat));
  const LogVarClamp clamp = vae.config().clamp;
  std::vector<double> log_px, elbo, gap, approximation, amortisation;
  for (std::int64_t n = 0; n < part.rows; ++n) {
    const Vector x = row_of(part, n);
    const Vector log_var = oracle.encoded(x).covariance.diagonal().array().log();
    if (log_var.minCoeff() < double(clamp.lo) || log_var.maxCoeff() > double(clamp.hi)) return std::nullopt;
    const Matrix covariance = oracle.posterior(x).covariance;
    const Eigen::LLT<Matrix> root(covariance);
    const Matrix precision = root.solve(Matrix::Identity(covariance.rows(), covariance.cols()));
    const double log_det = 2.0 * Matrix(root.matrixL()).diagonal().array().log().sum();
    const double best = 0.5 * (precision.diagonal().array().log().sum() + log_det);
    const double all = oracle.kl_to_posterior(x);
    log_px.push_back(oracle.log_px(x));
    elbo.push_back(oracle.elbo(x));
    gap.push_back(all);
    approximation.push_back(best);
    amortisation.push_back(all - best);
  }
  return ExactGapParts{estimate(log_px), estimate(elbo), estimate(gap), estimate(approximation),
                       estimate(amortisation)};
}

}  // namespace felbo::oracle
