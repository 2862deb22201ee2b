// What one call of an op has to move and to compute, as the op declares it in its <op>_work.h.
//
// Bytes: each element of the arrays of B x X, B x Z, ... numbers, once if it is read and once if it is
// written, however often a kernel passes over it. Noise is made where it is used and moves none. Numbers a
// row (a log-likelihood, a count) are left out of ops on longer rows.
//
// Operations are those of the arithmetic that the source writes for an element, sums over rows included:
//   +, -, *, /     1; a fused multiply-add 2
//   a function     1 a result: exp, log, sqrt, softplus, the remainder of Stirling's formula, ... So a
//                  polynomial in place of an exp makes no kernel look faster
//   a normal       5: of two by Box and Muller 2 make the uniform number, then log, *, sqrt, *, cosine,
//                  sine and 2 products
//   nothing        comparisons, selections, signs, conversions, integers (Philox, indices), and what is
//                  computed once a row, column or call
// Both sides of a selection count where both are computed.
//
// Words: of Philox4x32-10, 32 bits each, a normal or a binarised element one. What makes a block of four and
// needs fewer makes the others for nothing.
//
// tests/operations runs the sources of the CPU's loops on numbers that count, and holds the declarations to
// that.
#pragma once

#include <cstdint>

namespace felbo {

struct Work {
  double bytes = 0.0;
  double operations = 0.0;
  double words = 0.0;
};

/// Of `elements` elements with so many bytes and operations each.
constexpr Work work_of(std::int64_t elements, double bytes, double operations) {
  return {static_cast<double>(elements) * bytes, static_cast<double>(elements) * operations};
}
constexpr Work operator+(Work a, Work b) {
  return {a.bytes + b.bytes, a.operations + b.operations, a.words + b.words};
}

/// Operations of a standard normal.
inline constexpr int kNormalOperations = 5;

/// Of making so many normals, or words alone.
constexpr Work normals_work(std::int64_t count) {
  return {0.0, static_cast<double>(count) * kNormalOperations, static_cast<double>(count)};
}
constexpr Work words_work(std::int64_t count) { return {0.0, 0.0, static_cast<double>(count)}; }

}  // namespace felbo
