// A bfloat16 copy of floats, each rounded to nearest, ties to even: what products in bfloat16 read.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/view.h"

namespace felbo {

struct RoundArgs {
  View<const float, 1> from;  // (P)
  View<BFloat16, 1> to;       // (P)
};

/// A NaN stays a NaN; what is closer to the next power of two than to the largest bfloat16 becomes infinite.
/// Throws std::invalid_argument if shapes disagree.
void round_to_bfloat16(const CpuExec& exec, const RoundArgs& args);
void round_to_bfloat16(const CudaExec& exec, const RoundArgs& args);

}  // namespace felbo
