#include "host/evaluate/latent_path.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/common/check.h"

namespace felbo {
namespace {

double length_of(std::span<const float> code) {
  double sum = 0.0;
  for (const float v : code) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum);
}

/// The angle between the codes. From the chord and its counterpart, which is exact for small angles too.
double angle_between(std::span<const float> a, std::span<const float> b, double length_a, double length_b) {
  double apart = 0.0, together = 0.0;
  for (std::size_t d = 0; d < a.size(); ++d) {
    const double u = static_cast<double>(a[d]) / length_a, v = static_cast<double>(b[d]) / length_b;
    apart += (u - v) * (u - v);
    together += (u + v) * (u + v);
  }
  return 2.0 * std::atan2(std::sqrt(apart), std::sqrt(together));
}

/// What a point of the path takes of each end.
struct Shares {
  double from, to;
};

class Path {
 public:
  Path(PathKind kind, std::span<const float> from, std::span<const float> to)
      : from_(length_of(from)), to_(length_of(to)) {
    if (kind == PathKind::kLinear || from_ == 0.0 || to_ == 0.0) return;
    const double angle = angle_between(from, to, from_, to_);
    // Next to a straight angle any great circle leads there.
    if (angle > 1e-6 && angle < std::numbers::pi - 1e-6) angle_ = angle;
  }

  Shares at(double t) const {
    if (angle_ == 0.0) return {1.0 - t, t};
    const double length = (1.0 - t) * from_ + t * to_;
    return {length / from_ * std::sin((1.0 - t) * angle_) / std::sin(angle_),
            length / to_ * std::sin(t * angle_) / std::sin(angle_)};
  }

 private:
  double from_, to_;    // lengths
  double angle_ = 0.0;  // of the great circle; 0: a line
};

}  // namespace

PathKind path_from_name(const std::string& name) {
  FELBO_CHECK(name == "linear" || name == "spherical", "a path must be linear or spherical, got '{}'", name);
  return name == "linear" ? PathKind::kLinear : PathKind::kSpherical;
}

std::vector<float> path(PathKind kind, std::span<const float> from, std::span<const float> to,
                        std::int64_t steps) {
  FELBO_CHECK(steps >= 2, "a path has both its ends: at least 2 steps, got {}", steps);
  FELBO_CHECK(from.size() == to.size(), "codes of {} and {} dimensions", from.size(), to.size());
  const Path along(kind, from, to);
  std::vector<float> codes;
  for (std::int64_t i = 0; i < steps; ++i) {
    const Shares share = along.at(static_cast<double>(i) / static_cast<double>(steps - 1));
    for (std::size_t d = 0; d < from.size(); ++d) {
      const double z = share.from * static_cast<double>(from[d]) + share.to * static_cast<double>(to[d]);
      codes.push_back(static_cast<float>(z));
    }
  }
  std::ranges::copy(from, codes.begin());
  std::ranges::copy(to, codes.end() - static_cast<std::ptrdiff_t>(to.size()));
  return codes;
}

std::vector<float> traversal(std::span<const float> code, std::int64_t dimension, double reach,
                             std::int64_t steps) {
  FELBO_CHECK(steps >= 2, "a path has both its ends: at least 2 steps, got {}", steps);
  FELBO_CHECK(dimension >= 0 && dimension < static_cast<std::int64_t>(code.size()),
              "dimension {} of a code of {}", dimension, code.size());
  FELBO_CHECK(reach > 0.0 && std::isfinite(reach), "the reach must be a positive number, got {}", reach);
  std::vector<float> codes;
  for (std::int64_t i = 0; i < steps; ++i) {
    codes.insert(codes.end(), code.begin(), code.end());
    const double t = 2.0 * static_cast<double>(i) / static_cast<double>(steps - 1) - 1.0;
    codes[codes.size() - code.size() + static_cast<std::size_t>(dimension)] = static_cast<float>(reach * t);
  }
  return codes;
}

}  // namespace felbo
