// Noise put on data, and how far from the clean data something is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/common/view.h"

namespace felbo {

/// gaussian:S adds N(0, S^2) to every value; salt-pepper:P makes a value 0 or 1, each as likely, with
/// probability P; mask:P makes it 0 with probability P.
struct Corruption {
  enum class Kind { kGaussian, kSaltPepper, kMask };
  Kind kind = Kind::kGaussian;
  double amount = 0.0;
};

/// From "gaussian:0.3" and the like. Throws std::invalid_argument, with the forms, for another name, a
/// standard deviation that is not positive and finite or a probability that is not above 0 and at most 1.
Corruption corruption_from_name(const std::string& name);

/// x (R, X) with the noise on it; (R, X) row-major. What is done to (i, j) depends on (seed, i, j) alone.
/// With `unit_interval`, Gaussian noise is held to [0, 1], as a camera's is.
std::vector<float> corrupt(const Corruption& corruption, View<const float, 2> x, bool unit_interval,
                           std::uint64_t seed);

/// Mean over all X columns of (a - b)^2, of each row; (R). Throws std::invalid_argument if shapes disagree.
std::vector<double> mean_squared_errors(View<const float, 2> a, View<const float, 2> b);

/// Peak signal-to-noise ratio in decibels, 10 log10(peak^2 / mse); infinite for an mse of 0.
double psnr(double mse, double peak);

}  // namespace felbo
