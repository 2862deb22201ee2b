// A data part where an Exec can read it, and minibatches from it.
#pragma once

#include "host/data/data_part.h"
#include "host/exec/buffer.h"
#include "kernels/gather/gather.h"

namespace felbo {

/// A copy of the part in the Exec's memory. Throws as Buffer does if there is too little of that.
template <class Exec>
class ResidentData {
 public:
  ResidentData(const Exec& exec, const DataPart& part)
      : rows_(part.rows),
        cols_(part.cols),
        divisor_(part.divisor),
        bytes_(exec, static_cast<std::int64_t>(part.bytes.size())),
        floats_(exec, static_cast<std::int64_t>(part.floats.size())) {
    upload(exec, part.bytes, bytes_.view());
    upload(exec, part.floats, floats_.view());
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }

  /// x (B, X) = the given rows, bytes by the part's divisor, binarised as asked; and in bfloat16 unless
  /// `rounded` is empty.
  void gather_rows(const Exec& exec, View<const std::uint32_t, 1> rows, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x, View<BFloat16, 2> rounded = {}) const {
    if (bytes_.size() > 0) {
      const View<const std::uint8_t, 2> data = bytes_.matrix(rows_, cols_);
      gather(exec, GatherArgs<std::uint8_t>{data, rows, divisor_, binarize, noise, x, rounded});
    } else {
      const View<const float, 2> data = floats_.matrix(rows_, cols_);
      gather(exec, GatherArgs<float>{data, rows, 1.0f, binarize, noise, x, rounded});
    }
  }

 private:
  std::int64_t rows_, cols_;
  float divisor_;
  Buffer<Exec, std::uint8_t> bytes_;  // (N, X), or
  Buffer<Exec, float> floats_;        // (N, X)
};

/// On the CPU the part stays where it is; it must outlive this object.
template <>
class ResidentData<CpuExec> {
 public:
  ResidentData(const CpuExec&, const DataPart& part) : part_(&part) {}

  std::int64_t rows() const { return part_->rows; }
  std::int64_t cols() const { return part_->cols; }

  /// x (B, X) = the given rows, bytes by the part's divisor, binarised as asked; and in bfloat16 unless
  /// `rounded` is empty.
  void gather_rows(const CpuExec& exec, View<const std::uint32_t, 1> rows, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x, View<BFloat16, 2> rounded = {}) const {
    if (part_->is_bytes()) {
      gather(exec,
             GatherArgs<std::uint8_t>{part_->byte_view(), rows, part_->divisor, binarize, noise, x, rounded});
    } else {
      gather(exec, GatherArgs<float>{part_->float_view(), rows, 1.0f, binarize, noise, x, rounded});
    }
  }

 private:
  const DataPart* part_;
};

}  // namespace felbo
