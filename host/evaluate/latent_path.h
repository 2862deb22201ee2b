// Ways through the latent space: from one code to another, and along one dimension.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace felbo {

/// kLinear: the straight line. kSpherical: the direction goes along the great circle, at a steady angle, and
/// the length from one to the other in proportion (Shoemake, SIGGRAPH 1985; White, "Sampling generative
/// networks", 2016). Codes of a N(0, I) of many dimensions lie near a sphere of radius sqrt(Z), which a
/// straight line between them leaves.
enum class PathKind { kLinear, kSpherical };

/// From "linear" or "spherical". Throws std::invalid_argument for another name.
PathKind path_from_name(const std::string& name);

/// `steps` codes from `from` (Z) to `to` (Z), both included, (steps, Z) row-major. Where the direction of a
/// great circle is not defined (codes of length 0, or in opposite directions) a spherical path is linear.
/// Throws std::invalid_argument unless steps is at least 2 and the codes have one length.
std::vector<float> path(PathKind kind, std::span<const float> from, std::span<const float> to,
                        std::int64_t steps);

/// `code` (Z) with dimension `dimension` at `steps` equidistant values from -reach to reach, (steps, Z).
/// Throws std::invalid_argument unless steps is at least 2, the dimension is one of the code's and the reach
/// is positive and finite.
std::vector<float> traversal(std::span<const float> code, std::int64_t dimension, double reach,
                             std::int64_t steps);

}  // namespace felbo
