// What every normal_fill refuses.
#pragma once

#include "kernels/common/check.h"
#include "kernels/noise/noise.h"

namespace felbo {

inline void check(const NormalFillArgs& args) {
  FELBO_CHECK(args.out.rows + std::int64_t{args.first_datum} <= std::int64_t{1} << 32,
              "normal_fill: data up to {} do not fit the 32-bit index of the noise counter",
              args.out.rows + std::int64_t{args.first_datum});
  FELBO_CHECK(args.sample < kMaxNoiseSamples, "normal_fill: sample {} is not below {}", args.sample,
              kMaxNoiseSamples);
}

}  // namespace felbo
