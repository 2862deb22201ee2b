// A data part where an Exec can read it, and batches from it: of rows that the Exec names, or of rows laid
// out ahead, which need not be in its memory.
#pragma once

#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "host/data/data_part.h"
#include "host/data/row_stream.h"
#include "host/exec/buffer.h"
#include "host/exec/cuda_exec.h"
#include "kernels/gather/gather.h"
#include "kernels/gather/gather_csr.h"

namespace felbo {

/// A copy of the part in the Exec's memory. Throws as Buffer does if there is too little of that.
template <class Exec>
class DataCopy {
 public:
  /// `beside`: as ResidentData<CudaExec> has it; not asked here.
  DataCopy(const Exec& exec, const DataPart& part, std::int64_t /*beside*/ = 0)
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
  /// Whether readers bring rows from host memory.
  bool is_streamed() const { return false; }

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

/// The part for an Exec: a copy in its memory.
template <class Exec>
class ResidentData : public DataCopy<Exec> {
 public:
  using DataCopy<Exec>::DataCopy;
};

/// On the CPU the part stays where it is; it must outlive this object.
template <>
class ResidentData<CpuExec> {
 public:
  ResidentData(const CpuExec&, const DataPart& part, std::int64_t /*beside*/ = 0) : part_(&part) {}

  std::int64_t rows() const { return part_->rows; }
  std::int64_t cols() const { return part_->cols; }
  bool is_streamed() const { return false; }

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

/// A copy of the part on the device, or the part where it is, from where readers stream it: as the placement
/// of the Exec says. The part must outlive this object.
template <>
class ResidentData<CudaExec> {
 public:
  /// `beside`: bytes that the model is going to need on the device. Where the Exec leaves the choice, data go
  /// there if these, and an eighth of what is free now, stay free. Throws std::runtime_error if they are to
  /// go there and there is too little memory.
  ResidentData(const CudaExec& exec, const DataPart& part, std::int64_t beside = 0) : part_(&part) {
    const DataPlace place = exec.placement().place;
    if (place == DataPlace::kDevice || (place == DataPlace::kAuto && fits(part, beside)))
      copy_ = std::make_unique<DataCopy<CudaExec>>(exec, part);
  }

  std::int64_t rows() const { return part_->rows; }
  std::int64_t cols() const { return part_->cols; }
  bool is_streamed() const { return copy_ == nullptr; }
  const DataPart& part() const { return *part_; }

  /// x (B, X) = the given rows, bytes by the part's divisor, binarised as asked; and in bfloat16 unless
  /// `rounded` is empty. Not of rows that are streamed.
  void gather_rows(const CudaExec& exec, View<const std::uint32_t, 1> rows, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x, View<BFloat16, 2> rounded = {}) const {
    copy_->gather_rows(exec, rows, binarize, noise, x, rounded);
  }

 private:
  static bool fits(const DataPart& part, std::int64_t beside) {
    const std::int64_t free = cuda_free_memory();
    return stored_bytes(part) <= free - std::max(beside, free / 8);
  }

  const DataPart* part_;
  std::unique_ptr<DataCopy<CudaExec>> copy_;  // none: the rows are streamed
};

/// Batches of a part, in an order that is laid out ahead. `exec` and `data` must outlive it.
template <class Exec>
class RowReader {
 public:
  /// Batches of up to `batch` rows.
  RowReader(const Exec& exec, const ResidentData<Exec>& data, std::int64_t /*batch*/)
      : exec_(exec), data_(data) {}

  /// Lays out the coming batches: batch i is order[i * batch] and on.
  void begin(std::span<const std::uint32_t>) {}
  /// The same with data 0 ... count - 1 as they come.
  void begin_in_order(std::int64_t) {}
  /// What gather_rows() needs to know of batch i of those laid out.
  std::int64_t place(std::int64_t) const { return -1; }
  /// To be called once before the work of each batch is enqueued or replayed.
  void feed() {}
  /// x (B, X) = the batch whose turn it is: the data `rows` at `place`; else as ResidentData::gather_rows().
  void gather_rows(View<const std::uint32_t, 1> rows, Scalar<std::int64_t> /*place*/, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x, View<BFloat16, 2> rounded = {}) const {
    data_.gather_rows(exec_, rows, binarize, noise, x, rounded);
  }

 private:
  const Exec& exec_;
  const ResidentData<Exec>& data_;
};

template <>
class RowReader<CudaExec> {
 public:
  /// Throws std::runtime_error if rows are streamed and the device has too little memory for two batches.
  RowReader(const CudaExec& exec, const ResidentData<CudaExec>& data, std::int64_t batch)
      : exec_(exec),
        data_(data),
        stream_(data.is_streamed() ? std::make_unique<RowStream>(exec, data.part(), batch) : nullptr) {}

  void begin(std::span<const std::uint32_t> order) {
    if (stream_) stream_->begin(order);
  }
  void begin_in_order(std::int64_t count) {
    if (!stream_) return;
    std::vector<std::uint32_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), 0u);
    stream_->begin(order);
  }
  std::int64_t place(std::int64_t i) const { return stream_ ? stream_->place(i) : -1; }
  void feed() {
    if (stream_) stream_->feed();
  }
  void gather_rows(View<const std::uint32_t, 1> rows, Scalar<std::int64_t> place, Binarize binarize,
                   const NoiseStream& noise, View<float, 2> x, View<BFloat16, 2> rounded = {}) const {
    if (stream_) {
      stream_->slots().gather_rows(exec_, rows, place, binarize, noise, x, rounded);
    } else {
      data_.gather_rows(exec_, rows, binarize, noise, x, rounded);
    }
  }

 private:
  const CudaExec& exec_;
  const ResidentData<CudaExec>& data_;
  std::unique_ptr<RowStream> stream_;  // none: the rows are on the device
};

/// Data 0 ... count - 1 of a part, tile after tile, binarised as held-out data are. `exec` and `data` must
/// outlive it.
template <class Exec>
class RowTiles {
 public:
  /// Tiles of up to `tile` rows.
  RowTiles(const Exec& exec, const ResidentData<Exec>& data, std::int64_t tile, std::int64_t count)
      : exec_(exec), tile_(tile), count_(count), reader_(exec, data, tile), datum_(exec, tile) {}

  /// x (B, X) = data first ... first + B - 1. Tiles come one after another; first = 0 begins anew.
  void gather_rows(std::int64_t first, Binarize binarize, std::uint64_t seed, View<float, 2> x) {
    if (first == 0) reader_.begin_in_order(count_);
    std::vector<std::uint32_t> datum(static_cast<std::size_t>(x.rows));
    std::iota(datum.begin(), datum.end(), static_cast<std::uint32_t>(first));
    upload(exec_, datum, datum_.view());
    reader_.feed();
    reader_.gather_rows(datum_.vector(x.rows), reader_.place(first / tile_), binarize,
                        {seed, 0, Purpose::kHeldOutBinarize}, x);
  }
  /// The numbers of the tile's first B data, which name their noise.
  View<const std::uint32_t, 1> datum(std::int64_t B) const { return datum_.vector(B); }

 private:
  const Exec& exec_;
  std::int64_t tile_, count_;
  RowReader<Exec> reader_;
  Buffer<Exec, std::uint32_t> datum_;  // (tile)
};

}  // namespace felbo
