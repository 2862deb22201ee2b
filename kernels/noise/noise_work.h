// What normal_fill() moves and computes.
#pragma once

#include "kernels/common/work.h"

namespace felbo {

constexpr Work normal_fill_work(std::int64_t rows, std::int64_t cols) {
  return work_of(rows * cols, 4.0, 0.0) + normals_work(rows * cols);
}

}  // namespace felbo
