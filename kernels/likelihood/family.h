// What a likelihood family tells the row loop. A family is a small value with
//
//   static constexpr int kOutputs;                 numbers that the decoder gives a dimension
//   static constexpr OwnParameters kOwn;           parameters of its own
//   static constexpr bool kClamps;                 whether an element of the decoder's output can be clamped
//   ElementTerms<kOutputs> operator()(float x, const float (&output)[kOutputs], std::int64_t j) const;
//   static float mean(float first_output);         E[x|z]
//   double own_gradient(double sum, double count) const;       unless kOwn is kNone
//
// `j` is the dimension, for a family that holds something a dimension.
#pragma once

#include "kernels/common/view.h"

namespace felbo {

/// Parameters of a family that no network produces.
enum class OwnParameters { kNone, kOne, kPerDimension };

/// What one element of x adds.
template <int Outputs>
struct ElementTerms {
  float log_p;          // nats, up to a constant of the row
  float grad[Outputs];  // d log p / d output
  float own;     // summed over the elements that share an own parameter, this makes own_gradient()'s `sum`
  bool clamped;  // an output was out of bounds
};

}  // namespace felbo
