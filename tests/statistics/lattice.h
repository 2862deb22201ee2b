// Random numbers with a place (step, datum, sample, element), and whether those of different places depend on
// one another.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "tests/statistics/p_values.h"

namespace felbo::statistics {

/// Step, datum, sample, element.
using Place = std::array<std::int64_t, 4>;

struct Lattice {
  Place size{};
  std::vector<float> value;  // the element's index runs fastest

  explicit Lattice(const Place& sizes)
      : size(sizes), value(static_cast<std::size_t>(sizes[0] * sizes[1] * sizes[2] * sizes[3])) {}

  std::int64_t index(const Place& p) const {
    return ((p[0] * size[1] + p[1]) * size[2] + p[2]) * size[3] + p[3];
  }
};

/// A lattice of f(place).
template <class F>
Lattice make_lattice(const Place& size, const F& f) {
  Lattice lattice(size);
  Place p{};
  for (p[0] = 0; p[0] < size[0]; ++p[0]) {
    for (p[1] = 0; p[1] < size[1]; ++p[1]) {
      for (p[2] = 0; p[2] < size[2]; ++p[2]) {
        for (p[3] = 0; p[3] < size[3]; ++p[3]) lattice.value[lattice.index(p)] = f(p);
      }
    }
  }
  return lattice;
}

/// Sums of products over all pairs of places that are `shift` apart.
struct Products {
  double xy = 0.0;       // of x y
  double squares = 0.0;  // of (x^2 - 1) (y^2 - 1) / 2
  double count = 0.0;
};
Products shifted_products(const Lattice& lattice, const Place& shift);

/// Correlations of values between places apart: all shifts of up to 2 steps, 2 data, 2 samples and 4 elements
/// together, and of powers of two along each direction. Values must have mean 0 and variance 1; those of
/// normals' squares (variance 2) are correlated too.
void add_dependence(const Lattice& lattice, bool normal, Findings& findings);

}  // namespace felbo::statistics
