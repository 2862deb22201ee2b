// What bounds an op: the memory, the arithmetic or the making of random words.
#pragma once

#include <string>

#include "kernels/common/work.h"

namespace felbo::bench {

/// Bytes, operations in fp32 and random words a second.
struct Peaks {
  double bytes_per_second = 0.0, flops_per_second = 0.0, words_per_second = 0.0;
  std::string by;  // which product computes so many operations
};
/// What bounds a call, and its name among the results.
enum class Roof { kMemory, kArithmetic, kNoise };
std::string name_of(Roof roof);
/// That of the peaks by which a call with this work takes longest.
Roof roof_of(const Work& work, const Peaks& peaks);
/// The bytes, operations or words of it.
double amount_under(Roof roof, const Work& work);
/// What a call with this work takes at least.
double least_seconds(const Work& work, const Peaks& peaks);

}  // namespace felbo::bench
