// builtin:linear-gaussian: data whose log p(x) is known exactly, to judge every bound on it by.
#pragma once

#include <cstdint>
#include <vector>

#include "host/data/dataset.h"

namespace felbo {

/// x = W z + b + sigma e with z ~ N(0, I) of length Z and e ~ N(0, I) of length X; so p(x) = N(b, W W^T +
/// sigma^2 I), the model of probabilistic PCA (Tipping and Bishop, J. R. Stat. Soc. B 61, 1999).
struct LinearGaussian {
  std::int64_t cols = 0;    // X
  std::int64_t latent = 0;  // Z
  std::vector<double> w;    // (X, Z), row-major
  std::vector<double> b;    // (X)
  double sigma = 0.0;
};

inline constexpr std::int64_t kLinearGaussianTrainRows = 20000;
inline constexpr std::int64_t kLinearGaussianTestRows = 4000;

/// The model behind builtin:linear-gaussian: X = 64 (pictures of 8 x 8), Z = 8, entries of W of standard
/// deviation 0.5, of b of 0.25, all drawn by `seed`; sigma = 0.5. The posterior's standard deviations come to
/// about 0.12 against the prior's 1: the latent variables matter, and none is pinned down.
LinearGaussian make_linear_gaussian(std::uint64_t seed);

/// log p(x) of each row of x (rows, X), in nats, summed over columns; length rows. Computed in double through
/// the Z x Z matrix sigma^2 I + W^T W (Woodbury). Throws std::invalid_argument unless x has X columns and
/// sigma > 0.
std::vector<double> exact_log_px(const LinearGaussian& model, View<const float, 2> x);

/// 20,000 train and 4,000 test rows drawn from make_linear_gaussian(seed), float32, each with its exact log
/// p(x): of the row as rounded to float.
DataSet linear_gaussian_data(std::uint64_t seed);

}  // namespace felbo
