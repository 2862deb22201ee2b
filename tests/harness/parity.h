// What parity tests are made of: the comparator, and the guarded memory that ops are tested in.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "host/check/inputs.h"
#include "host/check/parity.h"
#include "kernels/common/view.h"
#include "tests/harness/exec.h"

namespace felbo::test {

using checks::fill_normal;
using checks::kEps;
using checks::Parity;
using checks::storage_error;
using checks::to_double;

#define FELBO_EXPECT_PARITY(parity) EXPECT_TRUE((parity).ok()) << (parity).report()

/// A matrix between guard bands. Everything is poisoned at first, gaps between strided rows included, so that
/// an element that an op forgets stays a NaN and a write outside is seen. `offset` elements misalign the
/// first row.
template <class T>
class Guarded {
 public:
  Guarded(std::int64_t rows, std::int64_t cols, std::int64_t extra_stride = 0, std::int64_t offset = 0)
      : rows_(rows),
        cols_(cols),
        stride_(cols + extra_stride),
        begin_(kGuard + offset),
        cells_(begin_ + rows * stride_ + kGuard) {
    std::memset(static_cast<void*>(cells_.data()), kPoison, cells_.size() * sizeof(T));
  }
  View<T, 2> matrix() { return {cells_.data() + begin_, rows_, cols_, stride_}; }
  View<T, 1> vector() { return {cells_.data() + begin_, rows_ * cols_}; }

  /// Adds a failure to `parity` if a cell outside the matrix has changed.
  void check_guards(Parity& parity, const std::string& what) const {
    T poison;
    std::memset(static_cast<void*>(&poison), kPoison, sizeof(T));
    for (std::int64_t k = 0; k < static_cast<std::int64_t>(cells_.size()); ++k) {
      const std::int64_t at = k - begin_;
      const bool inside = at >= 0 && at < rows_ * stride_ && at % stride_ < cols_;
      if (!inside && std::memcmp(&cells_[k], &poison, sizeof(T)) != 0) {
        parity.fail(what + ": wrote outside, at offset " + std::to_string(at));
        return;
      }
    }
  }

 private:
  static constexpr std::int64_t kGuard = 64;
  static constexpr int kPoison = 0xff;  // a NaN for float, -1 for integers
  std::int64_t rows_, cols_, stride_, begin_;
  Array<T> cells_;
};

/// Bit-for-bit equality of two matrices.
inline bool same_bits(View<const float, 2> a, View<const float, 2> b) {
  if (a.rows != b.rows || a.cols != b.cols) return false;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    if (std::memcmp(a.row(i), b.row(i), static_cast<std::size_t>(a.cols) * sizeof(float)) != 0) return false;
  }
  return true;
}

}  // namespace felbo::test
