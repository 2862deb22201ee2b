// Where a random number is used decides what it is: (seed, step, datum, sample, element, purpose) names a
// Philox counter. The same name gives the same bits on every device, thread count, batch split and launch
// shape.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/scalar.h"

namespace felbo {

/// What random numbers are for. Two purposes never share a counter. The values are part of the meaning of a
/// seed: never renumber.
enum class Purpose : std::uint32_t {
  kInit = 0,             // initial parameters
  kShuffle = 1,          // the order of an epoch
  kBinarize = 2,         // dynamic binarisation of training data
  kLatent = 3,           // eps of the reparameterised sample in training
  kHeldOutBinarize = 4,  // the one binarisation of held-out data
  kHeldOutLatent = 5,    // eps in evaluation
  kPrior = 6,            // z ~ p(z)
  kObservation = 7,      // x ~ p(x|z)
  kData = 8,             // built-in data sets
  kSplit = 9,            // what a data set holds out
  kAnneal = 10,          // chains of annealed importance sampling
  kAnnealBack = 11,      // the same, from the posterior back
  kLocalLatent = 12,     // eps of the fit of q(z|x) to one datum
  kAggregate = 16,       // z from a mixture fitted to codes, and where the fit begins
  kCorruption = 17,      // noise put on data, to be taken off again
  // Of the stochastic layers above the first, one purpose a layer: see purpose_of_layer().
  kLatentAbove = 32,         // what kLatent is to the first
  kHeldOutLatentAbove = 40,  // what kHeldOutLatent is
  kPriorBelow = 48,          // kPrior is the topmost layer's: of the layers below it
};

/// Stochastic layers above the first, at most: as many purposes as one use of theirs has.
inline constexpr int kMostLayersAbove = 8;

/// The purpose of stochastic layer `layer` >= 2 that kLatentAbove, kHeldOutLatentAbove or kPriorBelow begins.
constexpr Purpose purpose_of_layer(Purpose first, int layer) {
  return static_cast<Purpose>(static_cast<std::uint32_t>(first) + static_cast<std::uint32_t>(layer - 2));
}

inline constexpr std::uint32_t kMaxNoiseSamples = 1u << 26;

/// The part of a counter that one call of an op shares; datum, sample and element complete it.
struct NoiseStream {
  std::uint64_t seed = 0;
  Scalar<std::uint32_t> step;
  Purpose purpose = Purpose::kInit;

  /// The same with its step read: what ops work with, so that they read it once.
  FELBO_HD NoiseStream now() const { return {seed, step.get(), purpose}; }

  /// The counter's last word.
  FELBO_HD std::uint32_t where(std::uint32_t sample) const {
    return (static_cast<std::uint32_t>(purpose) << 26) | sample;
  }
  /// Words of elements 4 * block ... 4 * block + 3 of `sample` (below kMaxNoiseSamples) of `datum`.
  FELBO_HD Words4 words(std::uint32_t datum, std::uint32_t sample, std::uint32_t block) const {
    return philox4x32_10({{block, step.get(), datum, where(sample)}}, static_cast<std::uint32_t>(seed),
                         static_cast<std::uint32_t>(seed >> 32));
  }
};

}  // namespace felbo
