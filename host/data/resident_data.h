// A data part where an Exec can read it, and minibatches from it.
#pragma once

#include "host/data/data_part.h"
#include "host/exec/buffer.h"
#include "kernels/gather/gather.h"
#include "kernels/gather/gather_csr.h"

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
        floats_(exec, static_cast<std::int64_t>(part.floats.size())),
        begin_(exec, part.is_sparse() ? part.rows + 1 : 0),
        column_(exec, elements(part)),
        value_(exec, elements(part)) {
    upload(exec, part.bytes, bytes_.view());
    upload(exec, part.floats, floats_.view());
    if (!part.is_sparse()) return;
    upload(exec, part.sparse->begin, begin_.view());
    upload(exec, part.sparse->column, column_.view());
    upload(exec, part.sparse->value, value_.view());
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t cols() const { return cols_; }

  /// x (B, X) = the given rows, bytes by the part's divisor, binarised as asked; and in bfloat16 unless
  /// `rounded` is empty.
  void gather_rows(const Exec& exec, View<const std::uint32_t, 1> rows, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x, View<BFloat16, 2> rounded = {}) const {
    if (begin_.size() > 0) {
      gather(exec,
             GatherCsrArgs{begin_.view(), column_.view(), value_.view(), rows, binarize, noise, x, rounded});
    } else if (bytes_.size() > 0) {
      const View<const std::uint8_t, 2> data = bytes_.matrix(rows_, cols_);
      gather(exec, GatherArgs<std::uint8_t>{data, rows, divisor_, binarize, noise, x, rounded});
    } else {
      const View<const float, 2> data = floats_.matrix(rows_, cols_);
      gather(exec, GatherArgs<float>{data, rows, 1.0f, binarize, noise, x, rounded});
    }
  }

 private:
  static std::int64_t elements(const DataPart& part) {
    return part.is_sparse() ? static_cast<std::int64_t>(part.sparse->value.size()) : 0;
  }

  std::int64_t rows_, cols_;
  float divisor_;
  Buffer<Exec, std::uint8_t> bytes_;  // (N, X), or
  Buffer<Exec, float> floats_;        // (N, X), or
  Buffer<Exec, std::int64_t> begin_;  // (N + 1) and the elements of sparse rows
  Buffer<Exec, std::uint32_t> column_;
  Buffer<Exec, float> value_;
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
    if (part_->is_sparse()) {
      const CsrRows& csr = *part_->sparse;
      gather(exec, GatherCsrArgs{view_of(csr.begin), view_of(csr.column), view_of(csr.value), rows, binarize,
                                 noise, x, rounded});
    } else if (part_->is_bytes()) {
      gather(exec,
             GatherArgs<std::uint8_t>{part_->byte_view(), rows, part_->divisor, binarize, noise, x, rounded});
    } else {
      gather(exec, GatherArgs<float>{part_->float_view(), rows, 1.0f, binarize, noise, x, rounded});
    }
  }

 private:
  template <class T>
  static View<const T, 1> view_of(const std::vector<T>& values) {
    return {values.data(), static_cast<std::int64_t>(values.size())};
  }

  const DataPart* part_;
};

}  // namespace felbo
