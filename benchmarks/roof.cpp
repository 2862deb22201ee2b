#include "benchmarks/roof.h"

#include <algorithm>

namespace felbo::bench {
namespace {

double rate_under(Roof roof, const Peaks& peaks) {
  return amount_under(roof, {peaks.bytes_per_second, peaks.flops_per_second, peaks.words_per_second});
}

}  // namespace

std::string name_of(Roof roof) {
  switch (roof) {
    case Roof::kMemory:
      return "memory";
    case Roof::kArithmetic:
      return "arithmetic";
    case Roof::kNoise:
      return "noise";
  }
  return "";
}

double amount_under(Roof roof, const Work& work) {
  switch (roof) {
    case Roof::kMemory:
      return work.bytes;
    case Roof::kArithmetic:
      return work.operations;
    case Roof::kNoise:
      return work.words;
  }
  return 0.0;
}

Roof roof_of(const Work& work, const Peaks& peaks) {
  return std::ranges::max({Roof::kMemory, Roof::kNoise, Roof::kArithmetic}, {},
                          [&](Roof roof) { return amount_under(roof, work) / rate_under(roof, peaks); });
}

double least_seconds(const Work& work, const Peaks& peaks) {
  const Roof roof = roof_of(work, peaks);
  return amount_under(roof, work) / rate_under(roof, peaks);
}

}  // namespace felbo::bench
