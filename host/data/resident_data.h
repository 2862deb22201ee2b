// A data part where an Exec can read it, and minibatches from it.
#pragma once

#include "host/data/data_part.h"
#include "host/exec/buffer.h"
#include "kernels/gather/gather.h"

namespace felbo {

template <class Exec>
class ResidentData;

/// On the CPU the part stays where it is; it must outlive this object.
template <>
class ResidentData<CpuExec> {
 public:
  ResidentData(const CpuExec&, const DataPart& part) : part_(&part) {}

  std::int64_t rows() const { return part_->rows; }
  std::int64_t cols() const { return part_->cols; }

  /// x (B, X) = the given rows, bytes divided by 255, binarised as asked.
  void gather_rows(const CpuExec& exec, View<const std::uint32_t, 1> rows, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x) const {
    if (part_->is_bytes()) {
      gather(exec, GatherArgs<std::uint8_t>{part_->byte_view(), rows, 255.0f, binarize, noise, x});
    } else {
      gather(exec, GatherArgs<float>{part_->float_view(), rows, 1.0f, binarize, noise, x});
    }
  }

 private:
  const DataPart* part_;
};

}  // namespace felbo
