// What a family with a translation unit of its own tells the loops. Its decoder gives kLocations numbers a
// dimension; a family with kSpread has one more parameter, the log-spread (`log_var`), which is given,
// learned, or the decoder's last output (`--variance`). A family is a small value with
//
//   static constexpr int kLocations;               numbers that the decoder gives a dimension
//   static constexpr bool kSpread;                 whether there is a log-spread
//   static constexpr bool kClamps;                 whether a location can be clamped
//   static constexpr float kLogVarFactor;          log p holds kLogVarFactor * log_var, which is left out of
//   the
//                                                  element and of its grad_spread
//   static constexpr Observations kObservations;   what x may be
//   static constexpr ElementOperations kOperations;             with a log-spread that rows share, or none
//   static constexpr ElementOperations kOperationsPerElement;   with kSpread: where the decoder gives it
//   struct Spread;                                 floats that elements need of a log-spread, made once
//   static Family of(const Likelihood& which);
//   static Spread spread_of(float log_var);
//   double constant() const;                       nats of each element, whatever x and the parameters
//   SpreadTerms<kLocations> operator()(float x, const float (&location)[kLocations], const Spread&) const;
//   static float mean(const float (&location)[kLocations]);     E[x|z]
//
// The adapters below make of it what family.h asks for.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/common/log_var_clamp.h"
#include "kernels/common/math.h"
#include "kernels/likelihood/family.h"
#include "kernels/likelihood/likelihood.h"

namespace felbo {

/// What one element of x adds.
template <int Locations>
struct SpreadTerms {
  float log_p;            // nats, up to constant() and kLogVarFactor * log_var
  float grad[Locations];  // d log p / d location, zero where clamped
  float grad_spread;      // d log p / d log_var, up to kLogVarFactor
  std::int32_t clamped;   // locations that were out of bounds
};

/// Of a family without a log-spread.
struct NoSpread {};

/// Bounds of the logarithm of a rate or mean of counts: e^30 is beyond every count that a float tells from
/// the next, and products with the other parameters stay inside the range of float.
inline constexpr float kMaxLogMean = 30.0f;

/// The logarithm of a mean that a decoder gave out, within +-kMaxLogMean, and whether it was not. A NaN is
/// kept. Not by clamp_log_var() and is_clamped(): what those share becomes a branch.
struct LogMean {
  float value;
  std::int32_t clamped;  // 1 or 0

  FELBO_HD_INLINE static LogMean of(float output) {
    const std::int32_t below = output<-kMaxLogMean, above = output> kMaxLogMean;
    return {math::select(below, -kMaxLogMean, math::select(above, kMaxLogMean, output)), below | above};
  }
  /// The derivative by the output, of that by the value.
  FELBO_HD_INLINE float gradient(float by_value) const { return math::select(clamped, 0.0f, by_value); }
};

/// Spreads of all dimensions, each of their numbers a row of `dimensions`.
template <class Spread>
struct SpreadRows {
  static constexpr std::size_t kNumbers = sizeof(Spread) / sizeof(float);
  float* at = nullptr;
  std::int64_t dimensions = 0;

  FELBO_HD_INLINE Spread operator()(std::int64_t j) const {
    return read(j, std::make_index_sequence<kNumbers>());
  }
  void set(std::int64_t j, const Spread& spread) const {
    const auto numbers = std::bit_cast<std::array<float, kNumbers>>(spread);
    for (std::size_t k = 0; k < kNumbers; ++k) at[static_cast<std::int64_t>(k) * dimensions + j] = numbers[k];
  }

 private:
  template <std::size_t... k>
  FELBO_HD_INLINE Spread read(std::int64_t j, std::index_sequence<k...>) const {
    return {at[static_cast<std::int64_t>(k) * dimensions + j]...};
  }
};
/// One value, or a place: a row (step 1) or a single one for all dimensions (step 0).
template <class Spread>
struct SpreadAnywhere {
  const Spread* at;  // null: `given`
  std::int64_t step;
  Spread given;
  FELBO_HD Spread operator()(std::int64_t j) const { return at == nullptr ? given : at[step * j]; }
};
struct SpreadNowhere {
  FELBO_HD NoSpread operator()(std::int64_t) const { return {}; }
};

/// A family whose spread all rows share; its gradient is a sum over them.
template <class Family, class Where, OwnParameters Own>
struct SharedSpread {
  static constexpr int kOutputs = Family::kLocations;
  static constexpr OwnParameters kOwn = Own;
  static constexpr bool kClamps = Family::kClamps;
  static constexpr bool kExcess = false;
  // Counts and grey levels take so many registers that two runs of them at once would spill.
  static constexpr bool kLoadsAhead =
      Family::kObservations != Observations::kCounts && Family::kObservations != Observations::kGrey;
  Family family;
  Where spread;

  FELBO_HD_INLINE ElementTerms<kOutputs, std::int32_t> operator()(float x, const float (&output)[kOutputs],
                                                                  std::int64_t j) const {
    const SpreadTerms<kOutputs> element = family(x, output, spread(j));
    ElementTerms<kOutputs, std::int32_t> terms{};
    terms.log_p = element.log_p;
    for (int k = 0; k < kOutputs; ++k) terms.grad[k] = element.grad[k];
    terms.own = element.grad_spread;
    terms.clamped = element.clamped;
    return terms;
  }
  /// `count` elements share the log-spread; `sum` is that of their grad_spread.
  FELBO_HD static double own_gradient(double sum, double count) {
    return sum + static_cast<double>(Family::kLogVarFactor) * count;
  }
};

/// A family whose log-spread is the decoder's last output.
template <class Family>
struct SpreadPerElement {
  static constexpr int kLocations = Family::kLocations, kOutputs = kLocations + 1;
  static constexpr OwnParameters kOwn = OwnParameters::kNone;
  static constexpr bool kClamps = true;
  static constexpr bool kExcess = false;
  // Counts and grey levels take so many registers that two runs of them at once would spill.
  static constexpr bool kLoadsAhead =
      Family::kObservations != Observations::kCounts && Family::kObservations != Observations::kGrey;
  Family family;
  LogVarClamp clamp;

  FELBO_HD_INLINE ElementTerms<kOutputs, std::int32_t> operator()(float x, const float (&output)[kOutputs],
                                                                  std::int64_t) const {
    float location[kLocations];
    for (int k = 0; k < kLocations; ++k) location[k] = output[k];
    const float log_var = clamp_log_var(output[kLocations], clamp);
    const bool clamped = is_clamped(output[kLocations], clamp);
    const SpreadTerms<kLocations> element = family(x, location, Family::spread_of(log_var));
    ElementTerms<kOutputs, std::int32_t> terms{};
    terms.log_p = math::fma(Family::kLogVarFactor, log_var, element.log_p);
    for (int k = 0; k < kLocations; ++k) terms.grad[k] = element.grad[k];
    terms.grad[kLocations] =
        math::select(clamped, 0.0f, math::add(element.grad_spread, Family::kLogVarFactor));
    terms.clamped = element.clamped + (clamped ? 1 : 0);
    return terms;
  }
};

}  // namespace felbo
