// A number that counts: it stands for `float` and `double` where the sources of the CPU's loops are compiled
// once more (counting_on.h). What was computed with it is a graph, from which is read afterwards how many
// operations the results took and which inputs they depend on. The rules are those of kernels/common/work.h.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <numbers>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// What keeps its floats: types without any, and what counted versions below stand in for.
#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/check.h"
#include "kernels/common/lanes.h"
#include "kernels/common/log_var_exp.h"
#include "kernels/common/math.h"
#include "kernels/common/noise_stream.h"
#include "kernels/common/normal.h"
#include "kernels/common/scalar.h"
#include "kernels/common/view.h"
#include "kernels/common/work.h"
#include "kernels/gather/gather_math.h"

namespace counting {

/// One result, or an input.
struct Node {
  int cost = 0;
  bool input = false;
  std::array<int, 3> of{-1, -1, -1};
  int words = 0;  // of Philox
};
inline std::vector<Node>& graph() {
  static std::vector<Node> nodes;
  return nodes;
}
inline int add_node(const Node& node) {
  graph().push_back(node);
  return static_cast<int>(graph().size()) - 1;
}

/// Constants have no node: what is computed from them alone is not counted.
struct Number {
  double value = 0.0;
  int node = -1;

  constexpr Number() = default;
  template <class N>
  requires std::is_arithmetic_v<N>
  constexpr Number(N number) : value(static_cast<double>(number)) {}
  explicit Number(felbo::BFloat16 number) : value(static_cast<float>(number)) {}
  template <class N>
  requires std::is_arithmetic_v<N>
  constexpr explicit operator N() const { return static_cast<N>(value); }

  constexpr Number operator-() const {
    Number negative = *this;
    negative.value = -value;
    return negative;
  }
  friend constexpr bool operator==(Number a, Number b) { return a.value == b.value; }
  friend constexpr auto operator<=>(Number a, Number b) { return a.value <=> b.value; }
};

inline Number result(int cost, double value, Number a, Number b = {}, Number c = {}) {
  Number out(value);
  if (a.node >= 0 || b.node >= 0 || c.node >= 0) out.node = add_node({cost, false, {a.node, b.node, c.node}});
  return out;
}
inline Number operator+(Number a, Number b) { return result(1, a.value + b.value, a, b); }
inline Number operator-(Number a, Number b) { return result(1, a.value - b.value, a, b); }
inline Number operator*(Number a, Number b) { return result(1, a.value * b.value, a, b); }
inline Number operator/(Number a, Number b) { return result(1, a.value / b.value, a, b); }
inline Number& operator+=(Number& a, Number b) { return a = a + b; }
inline Number& operator-=(Number& a, Number b) { return a = a - b; }
inline Number& operator*=(Number& a, Number b) { return a = a * b; }
inline Number& operator/=(Number& a, Number b) { return a = a / b; }

/// An array that an op reads or writes, each element an input of its own until it is written.
class Array {
 public:
  explicit Array(std::int64_t size, double value = 0.3)
      : Array(size, [value](std::int64_t) { return value; }) {}
  /// Element i begins as value(i): the side of a branch that is computed depends on it.
  Array(std::int64_t size, const std::function<double(std::int64_t)>& value) {
    for (std::int64_t i = 0; i < size; ++i) {
      numbers_.emplace_back(value(i));
      numbers_.back().node = add_node({0, true, {}});
    }
    before_ = numbers_;
  }
  felbo::View<Number, 1> view() { return {numbers_.data(), static_cast<std::int64_t>(numbers_.size())}; }
  felbo::View<Number, 2> matrix(std::int64_t rows, std::int64_t cols) {
    return {numbers_.data(), rows, cols};
  }
  /// The nodes of the elements that were written.
  std::vector<int> written() const {
    std::vector<int> nodes;
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      if (numbers_[i].node != before_[i].node) nodes.push_back(numbers_[i].node);
    }
    return nodes;
  }

 private:
  std::vector<Number> numbers_, before_;
};

/// What the results of a call took.
struct Tally {
  double operations = 0, elements = 0, words = 0;  // elements: read, and written
};
inline Tally tally(std::initializer_list<const Array*> arrays) {
  Tally sum;
  std::vector<bool> reached(graph().size());
  std::vector<int> ahead;
  for (const Array* array : arrays) {
    const std::vector<int> written = array->written();
    sum.elements += static_cast<double>(written.size());
    ahead.insert(ahead.end(), written.begin(), written.end());
  }
  while (!ahead.empty()) {
    const int at = ahead.back();
    ahead.pop_back();
    if (at < 0 || reached[static_cast<std::size_t>(at)]) continue;
    reached[static_cast<std::size_t>(at)] = true;
    const Node& node = graph()[static_cast<std::size_t>(at)];
    sum.operations += node.cost;
    sum.elements += node.input ? 1 : 0;
    sum.words += node.words;
    ahead.insert(ahead.end(), node.of.begin(), node.of.end());
  }
  graph().clear();
  return sum;
}

/// What an element of two sizes takes: what rows, columns and calls have beside it drops out of the mixed
/// difference.
template <class F>
auto of_an_element(const F& f, std::int64_t rows, std::int64_t more_rows, std::int64_t cols,
                   std::int64_t more_cols) {
  const auto a = f(more_rows, more_cols), b = f(rows, more_cols), c = f(more_rows, cols), d = f(rows, cols);
  const auto elements = static_cast<double>((more_rows - rows) * (more_cols - cols));
  const auto each = [&](double w, double x, double y, double z) { return (w - x - y + z) / elements; };
  return std::array{each(a[0], b[0], c[0], d[0]), each(a[1], b[1], c[1], d[1]), each(a[2], b[2], c[2], d[2])};
}

/// Expects that an element of `counted(rows, cols)`, a Tally, is what `declared(rows, cols)`, a Work, says of
/// arrays of floats.
template <class Counted, class Declared>
void expect_declared(const std::string& op, const Counted& counted, const Declared& declared,
                     std::int64_t cols = 16, std::int64_t more_cols = 48) {
  const auto is = of_an_element(
      [&](std::int64_t rows, std::int64_t n) {
        const Tally t = counted(rows, n);
        return std::array{t.operations, 4.0 * t.elements, t.words};
      },
      2, 5, cols, more_cols);
  const auto says = of_an_element(
      [&](std::int64_t rows, std::int64_t n) {
        const felbo::Work w = declared(rows, n);
        return std::array{w.operations, w.bytes, w.words};
      },
      2, 5, cols, more_cols);
  EXPECT_GT(is[1], 0.0) << op << ": nothing was counted";
  EXPECT_NEAR(says[0], is[0], 1e-9) << op << ": operations of an element";
  EXPECT_NEAR(says[1], is[1], 1e-9) << op << ": bytes of an element";
  EXPECT_NEAR(says[2], is[2], 1e-9) << op << ": random words of an element";
}

}  // namespace counting

template <>
struct fmt::formatter<counting::Number> : fmt::formatter<double> {
  template <class Context>
  auto format(const counting::Number& number, Context& context) const {
    return fmt::formatter<double>::format(number.value, context);
  }
};

// The standard library's functions, which loops call for what is the same for all elements.
// NOLINTBEGIN(cert-dcl58-cpp)
namespace std {
template <>
struct numeric_limits<counting::Number> : numeric_limits<float> {};
inline counting::Number sqrt(counting::Number x) { return counting::result(1, std::sqrt(x.value), x); }
inline counting::Number log(counting::Number x) { return counting::result(1, std::log(x.value), x); }
inline counting::Number exp(counting::Number x) { return counting::result(1, std::exp(x.value), x); }
inline counting::Number lgamma(counting::Number x) { return counting::result(1, std::lgamma(x.value), x); }
inline bool isfinite(counting::Number x) { return std::isfinite(x.value); }
}  // namespace std
// NOLINTEND(cert-dcl58-cpp)
inline counting::Number exp(counting::Number x) { return std::exp(x); }
inline counting::Number log(counting::Number x) { return std::log(x); }
inline counting::Number sqrt(counting::Number x) { return std::sqrt(x); }

/// The namespace that the sources are compiled in, with what stands in for headers that they would include.
namespace felbo_counted {

using namespace felbo;

/// As kernels/common/scalar.h, and made of what makes a T.
template <class T>
class Scalar {
 public:
  template <class Value>
  requires std::is_convertible_v<Value, T> Scalar(Value value) : value_(value) {}
  Scalar() = default;
  T get() const { return value_; }

 private:
  T value_{};
};

namespace math {

using counting::Number, counting::result;

inline Number fma(Number a, Number b, Number c) { return result(2, a.value * b.value + c.value, a, b, c); }
inline Number mul(Number a, Number b) { return a * b; }
inline Number add(Number a, Number b) { return a + b; }
inline Number sqrt(Number x) { return std::sqrt(x); }
inline Number select(bool condition, Number a, Number b) {
  return result(0, condition ? a.value : b.value, a, b);
}
inline Number at_most(Number x, Number limit) { return x > limit ? limit : x; }
inline Number at_least(Number x, Number limit) { return x < limit ? limit : x; }
inline Number minus_magnitude(Number x) { return x > Number(0) ? -x : x; }

inline Number function(double value, Number x) { return result(1, value, x); }
inline Number exp(Number x) { return function(std::exp(x.value), x); }
inline Number exp_log_var(Number x) { return function(std::exp(x.value), x); }
inline Number exp_nonpositive(Number x) { return function(std::exp(x.value), x); }
inline Number exp_excess(Number x) { return function(std::expm1(x.value) - x.value, x); }
inline Number one_minus_exp(Number x) { return function(-std::expm1(-x.value), x); }
inline Number log_normal(Number x) { return function(std::log(x.value), x); }
inline Number log1p(Number x) { return function(std::log1p(x.value), x); }
inline Number log1p_signed(Number x) { return function(std::log1p(x.value), x); }
inline Number log1p_deficit(Number x) { return function(x.value - std::log1p(x.value), x); }
inline Number stirling_remainder(Number x) { return function(x.value / 12, x); }
inline Number digamma_remainder(Number x) { return function(x.value / 12, x); }
inline Number tanh(Number x) { return function(std::tanh(x.value), x); }
/// fma(a, b, a + b).
inline Number join_excess(Number a, Number b) { return fma(a, b, add(a, b)); }
struct SoftplusSigmoid {
  Number softplus, sigmoid;
};
inline SoftplusSigmoid softplus_sigmoid(Number x) {
  return {function(std::log1p(std::exp(x.value)), x), function(1 / (1 + std::exp(-x.value)), x)};
}
inline Number softplus(Number x) { return softplus_sigmoid(x).softplus; }
inline Number sigmoid(Number x) { return softplus_sigmoid(x).sigmoid; }

}  // namespace math

/// To join the partial sums of a row is the row's and not its elements'.
inline counting::Number join_lanes(const counting::Number (&lane)[kLanes]) {
  counting::Number sum = lane[0];
  for (int l = 1; l < kLanes; ++l) sum = counting::result(0, sum.value + lane[l].value, sum, lane[l]);
  return sum;
}
template <class Term>
counting::Number lane_sum(std::int64_t n, const Term& term) {
  counting::Number lane[kLanes] = {};
  for (std::int64_t j = 0; j < n; ++j) lane[j % kLanes] += term(j);
  return join_lanes(lane);
}

inline void round_to_bfloat16(const counting::Number*, std::int64_t, BFloat16*) {}

namespace gather_math {
/// A quotient.
struct ByteIntensity {
  static constexpr double kSmallest = 1e-30, kLargest = 1e30;
  counting::Number divisor, reciprocal;
  static ByteIntensity of(counting::Number divisor) { return {divisor, 1.0 / divisor.value}; }
  counting::Number operator()(counting::Number byte) const { return byte / divisor; }
};
}  // namespace gather_math

}  // namespace felbo_counted
