// Derivatives by reverse accumulation (Griewank and Walther, "Evaluating derivatives", chapter 3): a function
// written for a scalar T is run on Traced<T>, which writes down each operation with its partial derivatives;
// a sweep back over them gives the gradient. For references whose gradient must not come from a formula that
// someone derived by hand. Of a function of some thousand operations: all of them are kept.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>
#include <utility>
#include <vector>

namespace felbo::reference {

/// The operations of one evaluation, in their order.
template <class T>
class Tape {
 public:
  static constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();

  /// A number with its derivatives by up to two earlier ones.
  std::uint32_t add(const T& value, std::uint32_t a, const T& by_a, std::uint32_t b, const T& by_b) {
    see(value);
    nodes_.push_back({{a, b}, {by_a, by_b}});
    return static_cast<std::uint32_t>(nodes_.size() - 1);
  }
  std::uint32_t add_input(const T& value) { return add(value, kNowhere, T(0), kNowhere, T(0)); }

  /// The derivatives of number `of` by the first `count` ones. What counts for nothing is left out, so that
  /// an infinite derivative of it does not make a NaN.
  std::vector<T> gradient(std::uint32_t of, std::size_t count) {
    std::vector<T> by(std::max(nodes_.size(), count), T(0));
    if (of != kNowhere) by[of] = T(1);
    for (std::size_t i = nodes_.size(); i-- > 0;) {
      if (by[i] == T(0)) continue;
      see(by[i]);
      for (const int side : {0, 1}) {
        const std::uint32_t from = nodes_[i].from[side];
        if (from != kNowhere) by[from] = by[from] + by[i] * nodes_[i].slope[side];
      }
    }
    by.resize(count);
    return by;
  }

  /// The largest magnitude among all numbers and derivatives so far; infinite if one was a NaN.
  double largest() const { return largest_; }

 private:
  struct Node {
    std::uint32_t from[2];
    T slope[2];
  };
  void see(const T& value) {
    if constexpr (std::floating_point<T>) {
      const auto magnitude = static_cast<double>(std::abs(value));
      largest_ = std::isnan(magnitude) ? HUGE_VAL : std::max(largest_, magnitude);
    }
  }

  std::vector<Node> nodes_;
  double largest_ = 0;
};

/// A T with its place on a tape; a constant has none.
template <class T>
class Traced {
 public:
  constexpr Traced() = default;
  constexpr Traced(const T& value) : value_(value) {}
  template <class Number>
  requires(std::is_arithmetic_v<Number> && !std::same_as<Number, T>) constexpr Traced(Number value)
      : value_(static_cast<T>(value)) {}
  /// An input of the function.
  Traced(Tape<T>& tape, const T& value) : value_(value), tape_(&tape), place_(tape.add_input(value)) {}

  const T& value() const { return value_; }
  std::uint32_t place() const { return place_; }

  /// f(a) with its slope there, and f(a, b) with both.
  static Traced of(const T& value, const Traced& a, const T& slope) {
    return of(value, a, slope, Traced(), T(0));
  }
  static Traced of(const T& value, const Traced& a, const T& by_a, const Traced& b, const T& by_b) {
    Traced out(value);
    out.tape_ = a.tape_ != nullptr ? a.tape_ : b.tape_;
    if (out.tape_ != nullptr) out.place_ = out.tape_->add(value, a.place_, by_a, b.place_, by_b);
    return out;
  }

  friend Traced operator-(const Traced& a) { return of(-a.value_, a, T(-1)); }
  friend Traced operator+(const Traced& a, const Traced& b) {
    return of(a.value_ + b.value_, a, T(1), b, T(1));
  }
  friend Traced operator-(const Traced& a, const Traced& b) {
    return of(a.value_ - b.value_, a, T(1), b, T(-1));
  }
  friend Traced operator*(const Traced& a, const Traced& b) {
    return of(a.value_ * b.value_, a, b.value_, b, a.value_);
  }
  friend Traced operator/(const Traced& a, const Traced& b) {
    const T quotient = a.value_ / b.value_;
    return of(quotient, a, T(1) / b.value_, b, -(quotient / b.value_));
  }
  Traced& operator+=(const Traced& b) { return *this = *this + b; }
  Traced& operator-=(const Traced& b) { return *this = *this - b; }
  Traced& operator*=(const Traced& b) { return *this = *this * b; }
  friend bool operator<(const Traced& a, const Traced& b) { return a.value_ < b.value_; }
  friend bool operator>(const Traced& a, const Traced& b) { return b < a; }
  friend bool operator<=(const Traced& a, const Traced& b) { return a.value_ <= b.value_; }
  friend bool operator>=(const Traced& a, const Traced& b) { return b <= a; }
  friend bool operator==(const Traced& a, const Traced& b) { return a.value_ == b.value_; }

  friend Traced exp(const Traced& a) {
    using std::exp;
    const T value = exp(a.value_);
    return of(value, a, value);
  }
  friend Traced expm1(const Traced& a) {
    using std::exp, std::expm1;
    return of(expm1(a.value_), a, exp(a.value_));
  }
  friend Traced log(const Traced& a) {
    using std::log;
    return of(log(a.value_), a, T(1) / a.value_);
  }
  friend Traced sqrt(const Traced& a) {
    using std::sqrt;
    const T value = sqrt(a.value_);
    return of(value, a, T(1) / (T(2) * value));
  }
  friend Traced tanh(const Traced& a) {
    using std::tanh;
    const T value = tanh(a.value_);
    return of(value, a, T(1) - value * value);
  }
  friend Traced erfc(const Traced& a) {
    using std::erfc, std::exp;
    return of(erfc(a.value_), a, T(-2 * std::numbers::inv_sqrtpi) * exp(-(a.value_ * a.value_)));
  }
  /// a, as if it were a constant.
  friend Traced stopped(const Traced& a) { return Traced(a.value_); }
  /// a, with `factor` times the gradient that goes through it.
  friend Traced with_gradient_times(const T& factor, const Traced& a) { return of(a.value_, a, factor); }

 private:
  T value_ = T(0);
  Tape<T>* tape_ = nullptr;
  std::uint32_t place_ = Tape<T>::kNowhere;
};

template <class T>
struct Derivatives {
  T value;
  std::vector<T> gradient;
  double largest;  // magnitude of any number on the way there and back
};

/// f and its gradient at x. `f` takes a std::vector<Traced<T>> and returns a Traced<T>.
template <class T, class F>
Derivatives<T> differentiate(const std::vector<T>& x, const F& f) {
  Tape<T> tape;
  std::vector<Traced<T>> inputs;
  for (const T& value : x) inputs.emplace_back(tape, value);
  const Traced<T> y = f(std::as_const(inputs));
  std::vector<T> gradient = tape.gradient(y.place(), x.size());
  return {y.value(), std::move(gradient), tape.largest()};
}

}  // namespace felbo::reference

template <class T>
inline constexpr felbo::reference::Traced<T> std::numbers::pi_v<felbo::reference::Traced<T>>{
    std::numbers::pi_v<T>};
template <class T>
inline constexpr felbo::reference::Traced<T> std::numbers::sqrt2_v<felbo::reference::Traced<T>>{
    std::numbers::sqrt2_v<T>};
