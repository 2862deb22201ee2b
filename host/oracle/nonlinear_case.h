// Models with a nonlinear decoder whose log p(x) is known, with data drawn from them: what estimators of
// log p(x) run on where nothing is Gaussian.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/data/data_part.h"
#include "host/oracle/grid.h"

namespace felbo::oracle {

/// How log p(x) of a model is known.
enum class NonlinearKind {
  kGaussianGrid,   // 2-16-8, tanh, Gaussian with one variance: integrated on a grid
  kBernoulliGrid,  // 2-16-8, tanh, Bernoulli: likewise
  kMixture,        // a mixture of four Gaussians, in closed form
};

/// The mixture's decoder has one latent dimension and three hidden units tanh(1e30 (z - t_k)), which are -1
/// or 1 for every float z that is not t_k itself. So x has one of four means, by the interval that z lies in:
///
///   p(x) = sum_k pi_k N(x; m_k, sigma^2 I),   pi_k = Phi(t_k) - Phi(t_k-1),  t_0 = -infinity, t_4 = infinity
///
/// exactly, and each component's p(z|x) is a piece of a normal, cut off on both sides.
struct NonlinearModel {
  std::string name;  // "2-16-8 tanh, gaussian"
  Vae vae;
  std::vector<float> flat;           // (P); q(z|x) is N(0, 1.3^2 I) for every x, wider than p(z|x)
  DataPart data;                     // drawn from p(x)
  std::vector<float> z;              // (N, Z) the z that each datum was drawn with: exact draws of p(z|x)
  std::vector<double> exact_log_px;  // (N)
  double exact_error = 0.0;          // largest error of these; 0 in closed form

  /// Row n of the data.
  Vector x(std::int64_t n) const;
};

/// A model and `rows` data for it, functions of `seed` alone.
NonlinearModel make_nonlinear_model(NonlinearKind kind, std::int64_t rows, std::uint64_t seed);

}  // namespace felbo::oracle
