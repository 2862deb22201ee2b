// The comparator that judges every fast implementation against its double reference, and the guarded memory
// that ops are tested in.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/common/noise_stream.h"
#include "kernels/common/normal.h"
#include "kernels/common/view.h"
#include "tests/harness/exec.h"

namespace felbo::test {

inline constexpr double kEps = std::numeric_limits<float>::epsilon();  // 2^-23

/// Collects element-wise comparisons. An element passes only if |got - want| <= tolerance, so a NaN on either
/// side fails unless both are NaN by design. Comparing nothing is a failure.
class Parity {
 public:
  /// `got` against `want`, row by row, with a tolerance an element.
  void compare(const std::string& what, View<const float, 2> got, const std::vector<double>& want,
               const std::vector<double>& tolerance) {
    if (static_cast<std::int64_t>(want.size()) != got.rows * got.cols || want.size() != tolerance.size()) {
      fail(what + ": shapes differ");
      return;
    }
    for (std::int64_t i = 0; i < got.rows; ++i) {
      for (std::int64_t j = 0; j < got.cols; ++j) {
        element(what, i, j, got(i, j), want[i * got.cols + j], tolerance[i * got.cols + j]);
      }
    }
  }
  void compare(const std::string& what, View<const float, 1> got, const std::vector<double>& want,
               const std::vector<double>& tolerance) {
    compare(what, View<const float, 2>(got.data, 1, got.size), want, tolerance);
  }
  /// The same tolerance for all elements.
  void compare(const std::string& what, View<const float, 2> got, const std::vector<double>& want,
               double tolerance) {
    compare(what, got, want, std::vector<double>(want.size(), tolerance));
  }
  void element(const std::string& what, std::int64_t i, std::int64_t j, double got, double want,
               double tolerance) {
    ++compared_;
    const double error = std::abs(got - want);
    if (!(error <= tolerance)) {
      if (++failed_ <= 3) {
        char text[256];
        std::snprintf(text, sizeof text, "%s(%lld, %lld): got %.9g, want %.9g, error %.3g, tolerance %.3g\n",
                      what.c_str(), static_cast<long long>(i), static_cast<long long>(j), got, want, error,
                      tolerance);
        report_ += text;
      }
    } else if (tolerance > 0.0) {
      worst_ = std::max(worst_, error / tolerance);
    }
  }
  void fail(const std::string& message) {
    ++failed_;
    report_ += message + "\n";
  }

  bool ok() const { return compared_ > 0 && failed_ == 0; }
  std::int64_t compared() const { return compared_; }
  std::int64_t failed() const { return failed_; }
  /// Largest error among the passed elements as a share of its tolerance.
  double worst() const { return worst_; }
  std::string report() const {
    return report_ + std::to_string(failed_) + " of " + std::to_string(compared_) + " elements failed";
  }

 private:
  std::int64_t compared_ = 0;
  std::int64_t failed_ = 0;
  double worst_ = 0.0;
  std::string report_;
};

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

/// Reproducible standard normals for inputs, times `scale`, plus `shift`; another `seed` gives other numbers.
inline void fill_normal(View<float, 2> out, std::uint64_t seed, float scale = 1.0f, float shift = 0.0f) {
  const NoiseStream stream{seed, 0, Purpose::kInit};
  for (std::int64_t i = 0; i < out.rows; ++i) {
    for (std::int64_t j = 0; j < out.cols; ++j) {
      const Normals4 n = normals_from_words(
          stream.words(static_cast<std::uint32_t>(i), 0, static_cast<std::uint32_t>(j / 4)));
      out(i, j) = shift + scale * n[static_cast<int>(j % 4)];
    }
  }
}

/// The elements of a view as doubles, row by row.
template <class T>
std::vector<double> to_double(View<T, 2> view) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < view.rows; ++i) {
    for (std::int64_t j = 0; j < view.cols; ++j) out.push_back(static_cast<double>(view(i, j)));
  }
  return out;
}

/// Bit-for-bit equality of two matrices.
inline bool same_bits(View<const float, 2> a, View<const float, 2> b) {
  if (a.rows != b.rows || a.cols != b.cols) return false;
  for (std::int64_t i = 0; i < a.rows; ++i) {
    if (std::memcmp(a.row(i), b.row(i), static_cast<std::size_t>(a.cols) * sizeof(float)) != 0) return false;
  }
  return true;
}

}  // namespace felbo::test
