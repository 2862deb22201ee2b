// What free_bits refuses.
#pragma once

#include "kernels/common/check.h"
#include "kernels/common/log_var_check.h"
#include "kernels/free_bits/free_bits.h"

namespace felbo {

inline void check(const FreeBitsArgs& a) {
  FELBO_CHECK(a.mu.rows >= 1, "free_bits: the mean over an empty batch is not defined");
  FELBO_CHECK(a.log_var.rows == a.mu.rows && a.log_var.cols == a.mu.cols,
              "free_bits: mu is {} x {}, log_var {} x {}", a.mu.rows, a.mu.cols, a.log_var.rows,
              a.log_var.cols);
  FELBO_CHECK(a.kl.size == a.mu.cols && a.weight.size == a.mu.cols,
              "free_bits: kl and weight need {} elements, have {} and {}", a.mu.cols, a.kl.size,
              a.weight.size);
  check_log_var_clamp("free_bits", a.clamp);
}

/// Written so that a NaN counts as above.
FELBO_HD inline float free_bits_weight(float kl, float threshold) { return kl <= threshold ? 0.0f : 1.0f; }

}  // namespace felbo
