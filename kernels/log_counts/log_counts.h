// What the encoder of counts reads: y = log(1 + x). Counts spread over orders of magnitude, and a network
// that reads them as they are is ruled by its few largest (Lopez, Regier, Cole, Jordan and Yosef, Nature
// Methods 2018, "Methods": the logarithm of the counts is the encoder's input). The likelihood sees the
// counts.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/bfloat16.h"
#include "kernels/common/view.h"

namespace felbo {

/// T: how y is stored.
template <class T>
struct LogCountsArgsOf {
  View<const float, 1> x;  // (N) integers from 0 to 2^24
  View<T, 1> y;            // (N)
};
using LogCountsArgs = LogCountsArgsOf<float>;

/// Within 2 ulp of float, then rounded to T. Throws std::invalid_argument if shapes disagree.
void log_counts(const CpuExec& exec, const LogCountsArgs& args);
void log_counts(const CudaExec& exec, const LogCountsArgs& args);
void log_counts(const CudaExec& exec, const LogCountsArgsOf<BFloat16>& args);

}  // namespace felbo
