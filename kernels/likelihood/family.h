// What a likelihood family tells the row loop. A family is a small value with
//
//   static constexpr int kOutputs;                 numbers that the decoder gives a dimension
//   static constexpr OwnParameters kOwn;           parameters of its own
//   static constexpr bool kClamps;                 whether an element of the decoder's output can be clamped
//   static constexpr ElementOperations kOperations;
//   static constexpr bool kExcess;                 whether log p holds a term -log(1 + excess) an element
//   ElementTerms<kOutputs> operator()(float x, const float (&output)[kOutputs], std::int64_t j) const;
//   static float mean(float first_output);         E[x|z]
//   double own_gradient(double sum, double count) const;       unless kOwn is kNone
//
// `j` is the dimension, for a family that holds something a dimension. Factors 1 + excess are multiplied
// (math::join_excess), and one logarithm is taken of the product of up to kMostFactors of them.
#pragma once

#include "kernels/common/view.h"

namespace felbo {

/// Parameters of a family that no network produces.
enum class OwnParameters { kNone, kOne, kPerDimension };

/// An excess is at most 1, so that the product of this many factors is far from overflow.
inline constexpr int kMostFactors = 64;

/// Operations of an element as kernels/common/work.h counts them, sums over the row included.
struct ElementOperations {
  int value = 0;     // of log p alone
  int gradient = 0;  // what gradients by the decoder's outputs take beside that
  int own = 0;       // and that by a parameter of the family's own
};

/// What one element of x adds. Count: of clamped outputs, where more than one can be.
template <int Outputs, class Count = bool>
struct ElementTerms {
  float log_p;          // nats, up to a constant of the row and to log(1 + excess)
  float grad[Outputs];  // d log p / d output
  float own;      // summed over the elements that share an own parameter, this makes own_gradient()'s `sum`
  Count clamped;  // whether, or how many, outputs were out of bounds
  float excess;   // log p is log_p - log(1 + excess); read if kExcess
};

}  // namespace felbo
