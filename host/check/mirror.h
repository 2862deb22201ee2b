// Memory that ops are checked in: a matrix in an Exec's memory and the host's copy of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "host/check/inputs.h"
#include "host/check/parity.h"
#include "host/exec/buffer.h"
#include "kernels/common/math.h"

namespace felbo::checks {

/// How a matrix lies: elements between its rows, and by how many the first row is misaligned.
struct Layout {
  std::int64_t gap = 0;
  std::int64_t offset = 0;
};

/// A matrix between guard bands, in the Exec's memory and on the host. All of it is poisoned at first, gaps
/// included, so that an element that an op forgets stays a NaN (-1 for integers) and a write outside is seen.
/// `exec` must outlive it. Move-only.
template <class Exec, class T>
class Mirror {
 public:
  Mirror(const Exec& exec, std::int64_t rows, std::int64_t cols, Layout layout = {})
      : exec_(&exec),
        rows_(rows),
        cols_(cols),
        stride_(cols + layout.gap),
        begin_(kGuard + layout.offset),
        cells_(static_cast<std::size_t>(begin_ + rows * stride_ + kGuard)),
        buffer_(exec, static_cast<std::int64_t>(cells_.size())) {
    std::memset(static_cast<void*>(cells_.data()), kPoison, cells_.size() * sizeof(T));
    send();
  }

  /// For ops: views of the Exec's memory, which the host may not reach.
  View<T, 2> matrix() const { return {buffer_.data() + begin_, rows_, cols_, stride_}; }
  /// The rows one after another; for a layout without gaps.
  View<T, 1> vector() const { return {buffer_.data() + begin_, rows_ * cols_}; }

  /// The host's copy, as it was sent or received last.
  View<T, 2> host() { return {cells_.data() + begin_, rows_, cols_, stride_}; }
  std::vector<double> doubles() { return to_double(host()); }
  void send() { upload(*exec_, cells_, buffer_.view()); }
  /// Fetches what ops have written; a change outside the matrix is a failure of the array `what`.
  void receive(Parity& parity, const std::string& what) {
    download(*exec_, buffer_.view(), cells_);
    check_guards(parity, what);
  }

  /// Fetches the matrix and compares it, row by row, with a tolerance an element.
  void judge(Parity& parity, const std::string& what, const std::vector<double>& want,
             const std::vector<double>& tolerance) {
    receive(parity, what);
    if (static_cast<std::int64_t>(want.size()) != rows_ * cols_ || want.size() != tolerance.size()) {
      parity.fail(what + ": shapes differ");
      return;
    }
    for (std::int64_t i = 0; i < rows_; ++i) {
      for (std::int64_t j = 0; j < cols_; ++j) {
        const auto at = static_cast<std::size_t>(i * cols_ + j);
        parity.element(what, i, j, static_cast<double>(host()(i, j)), want[at], tolerance[at]);
      }
    }
  }
  void judge(Parity& parity, const std::string& what, const std::vector<double>& want, double tolerance) {
    judge(parity, what, want, std::vector<double>(want.size(), tolerance));
  }
  /// The same for values that must be equal bit for bit: the bits of floats are compared as integers.
  void judge_bits(Parity& parity, const std::string& what,
                  const std::vector<T>& want) requires std::is_same_v<T, float> {
    receive(parity, what);
    if (static_cast<std::int64_t>(want.size()) != rows_ * cols_) {
      parity.fail(what + ": shapes differ");
      return;
    }
    for (std::int64_t i = 0; i < rows_; ++i) {
      for (std::int64_t j = 0; j < cols_; ++j) {
        parity.element(what + " bits", i, j, math::bits(host()(i, j)),
                       math::bits(want[static_cast<std::size_t>(i * cols_ + j)]), 0.0);
      }
    }
  }

 private:
  static constexpr std::int64_t kGuard = 64;
  static constexpr int kPoison = 0xff;

  void check_guards(Parity& parity, const std::string& what) const {
    T poison;
    std::memset(static_cast<void*>(&poison), kPoison, sizeof(T));
    for (std::int64_t k = 0; k < static_cast<std::int64_t>(cells_.size()); ++k) {
      const std::int64_t at = k - begin_;
      const bool inside = at >= 0 && at < rows_ * stride_ && at % stride_ < cols_;
      if (!inside && std::memcmp(&cells_[static_cast<std::size_t>(k)], &poison, sizeof(T)) != 0) {
        parity.fail(what + ": wrote outside, at offset " + std::to_string(at));
        return;
      }
    }
  }

  const Exec* exec_;
  std::int64_t rows_, cols_, stride_, begin_;
  std::vector<T> cells_;
  Buffer<Exec, T> buffer_;
};

/// A matrix of normals times `scale`, plus `shift`.
template <class Exec>
Mirror<Exec, float> normals(const Exec& exec, std::int64_t rows, std::int64_t cols, Layout layout,
                            std::uint64_t seed, float scale = 1.0f, float shift = 0.0f) {
  Mirror<Exec, float> mirror(exec, rows, cols, layout);
  fill_normal(mirror.host(), seed, scale, shift);
  mirror.send();
  return mirror;
}

/// One row of the given values.
template <class T, class Exec>
Mirror<Exec, T> row_of(const Exec& exec, const std::vector<T>& values, Layout layout = {}) {
  Mirror<Exec, T> mirror(exec, 1, static_cast<std::int64_t>(values.size()), layout);
  std::ranges::copy(values, mirror.host().row(0));
  mirror.send();
  return mirror;
}

}  // namespace felbo::checks
