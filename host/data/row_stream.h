// Minibatches of a part that stays in host memory, for a GPU. The host puts the rows that coming batches
// visit behind one another in pinned memory, chunk by chunk; each chunk is copied while the GPU works on the
// one before it. There are two of each kind of buffer, and the only wait is for a pinned one whose last copy
// is not done yet, which was begun two chunks ago.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "host/data/data_part.h"
#include "host/exec/cuda_exec.h"
#include "kernels/common/check.h"
#include "kernels/gather/gather.h"
#include "kernels/gather/gather_csr.h"

namespace felbo {

/// Bytes that a part takes as it is stored.
inline std::int64_t stored_bytes(const DataPart& part) {
  if (!part.is_sparse()) return part.rows * part.cols * (part.is_bytes() ? 1 : std::int64_t{sizeof(float)});
  return 8 * (part.rows + 1) + 8 * static_cast<std::int64_t>(part.sparse->value.size());
}

/// A chunk's place in memory: rows as they are stored, two slots of `rows` rows each. Dense ones are rows of
/// one matrix. Sparse ones have their begins, one more than rows a slot, and room for the elements of the
/// `rows` longest rows of the part.
class RowSlots {
 public:
  RowSlots(const CudaExec& exec, const DataPart& part, std::int64_t rows)
      : part_(part),
        rows_(rows),
        elements_(part.is_sparse() ? most_elements(part, rows) : 0),
        bytes_(exec, part.is_bytes() ? 2 * rows * part.cols : 0),
        floats_(exec, !part.is_bytes() && !part.is_sparse() ? 2 * rows * part.cols : 0),
        begin_(exec, part.is_sparse() ? 2 * stride() : 0),
        column_(exec, 2 * elements_),
        value_(exec, 2 * elements_),
        pinned_bytes_(bytes_.size()),
        pinned_floats_(floats_.size()),
        pinned_begin_(begin_.size()),
        pinned_column_(column_.size()),
        pinned_value_(value_.size()),
        copies_(exec) {}

  /// Where the first row of a slot stands, as `place` of the gathers has it.
  std::int64_t place(int slot) const { return slot * stride(); }
  const SideCopies& copies() const { return copies_; }

  /// Takes the given rows of the part, at most `rows`, into a slot. Throws std::invalid_argument if they are
  /// sparse, and so many of them repeated that they have no room.
  void fill(int slot, std::span<const std::uint32_t> rows) const {
    const auto count = static_cast<std::int64_t>(rows.size());
    copies_.wait_for_host(slot);
    if (part_.is_sparse()) pack_sparse(slot, rows);
    if (part_.is_bytes()) pack_dense(slot, rows, part_.bytes, pinned_bytes_);
    if (!part_.floats.empty()) pack_dense(slot, rows, part_.floats, pinned_floats_);
    copies_.begin(slot);
    if (part_.is_sparse()) send_sparse(slot, count);
    if (part_.is_bytes()) send(pinned_bytes_, bytes_, slot * rows_ * part_.cols, count * part_.cols);
    if (!part_.floats.empty()) send(pinned_floats_, floats_, slot * rows_ * part_.cols, count * part_.cols);
    copies_.end(slot);
  }

  /// Enqueues x (B, X) = the rows at `place`, which are the data `datum`.
  void gather_rows(const CudaExec& exec, View<const std::uint32_t, 1> datum, Scalar<std::int64_t> place,
                   Binarize binarize, const NoiseStream& noise, View<float, 2> x,
                   View<BFloat16, 2> rounded) const {
    const std::int64_t X = part_.cols;
    if (part_.is_sparse()) {
      gather(exec, GatherCsrArgs{begin_.view(), column_.view(), value_.view(), datum, binarize, noise, x,
                                 rounded, place});
    } else if (part_.is_bytes()) {
      const View<const std::uint8_t, 2> data = bytes_.matrix(2 * rows_, X);
      gather(exec, GatherArgs<std::uint8_t>{data, datum, part_.divisor, binarize, noise, x, rounded, place});
    } else {
      const View<const float, 2> data = floats_.matrix(2 * rows_, X);
      gather(exec, GatherArgs<float>{data, datum, 1.0f, binarize, noise, x, rounded, place});
    }
  }

 private:
  static constexpr std::int64_t kGrain = 1 << 16;  // bytes that are worth a thread

  std::int64_t stride() const { return rows_ + (part_.is_sparse() ? 1 : 0); }

  /// Elements of the `rows` longest rows.
  static std::int64_t most_elements(const DataPart& part, std::int64_t rows) {
    const std::vector<std::int64_t>& begin = part.sparse->begin;
    std::vector<std::int64_t> lengths;
    for (std::size_t i = 0; i + 1 < begin.size(); ++i) lengths.push_back(begin[i + 1] - begin[i]);
    const auto end = lengths.begin() + std::min(rows, static_cast<std::int64_t>(lengths.size()));
    std::nth_element(lengths.begin(), end, lengths.end(), std::greater<>());
    std::int64_t sum = 0;
    for (auto length = lengths.begin(); length != end; ++length) sum += *length;
    return sum;
  }

  template <class T>
  void pack_dense(int slot, std::span<const std::uint32_t> rows, const std::vector<T>& part,
                  const PinnedBuffer<T>& pinned) const {
    const std::int64_t X = part_.cols;
    T* const to = pinned.data() + slot * rows_ * X;
    const auto row_bytes = static_cast<std::size_t>(X) * sizeof(T);
    host_.parallel_for(
        static_cast<std::int64_t>(rows.size()), 1 + kGrain / static_cast<std::int64_t>(row_bytes + 1),
        [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i)
            std::memcpy(to + i * X, part.data() + std::int64_t{rows[static_cast<std::size_t>(i)]} * X,
                        row_bytes);
        });
  }

  void pack_sparse(int slot, std::span<const std::uint32_t> rows) const {
    const CsrRows& csr = *part_.sparse;
    std::int64_t* const begin = pinned_begin_.data() + place(slot);
    begin[0] = slot * elements_;
    for (std::size_t i = 0; i < rows.size(); ++i)
      begin[i + 1] = begin[i] + csr.begin[rows[i] + std::size_t{1}] - csr.begin[rows[i]];
    FELBO_CHECK(begin[rows.size()] - begin[0] <= elements_,
                "{} sparse rows have {} elements, and room for {}: a row comes more than once", rows.size(),
                begin[rows.size()] - begin[0], elements_);
    host_.parallel_for(static_cast<std::int64_t>(rows.size()), 1 + kGrain / (1 + 8 * elements_ / rows_),
                       [&](std::int64_t first, std::int64_t last) {
                         for (std::int64_t i = first; i < last; ++i) {
                           const std::int64_t from = csr.begin[rows[static_cast<std::size_t>(i)]];
                           const std::int64_t length = begin[i + 1] - begin[i];
                           std::copy_n(csr.column.data() + from, length, pinned_column_.data() + begin[i]);
                           std::copy_n(csr.value.data() + from, length, pinned_value_.data() + begin[i]);
                         }
                       });
  }
  void send_sparse(int slot, std::int64_t count) const {
    const std::int64_t first = slot * elements_, last = pinned_begin_.data()[place(slot) + count];
    send(pinned_begin_, begin_, place(slot), count + 1);
    send(pinned_column_, column_, first, last - first);
    send(pinned_value_, value_, first, last - first);
  }

  /// Elements first ... first + count - 1 of pinned memory to the same place on the device.
  template <class T>
  void send(const PinnedBuffer<T>& pinned, const Buffer<CudaExec, T>& device, std::int64_t first,
            std::int64_t count) const {
    if (count > 0)
      copies_.copy(device.data() + first, pinned.data() + first,
                   count * static_cast<std::int64_t>(sizeof(T)));
  }

  const DataPart& part_;
  CpuExec host_;  // gathers
  std::int64_t rows_, elements_;
  Buffer<CudaExec, std::uint8_t> bytes_;
  Buffer<CudaExec, float> floats_;
  Buffer<CudaExec, std::int64_t> begin_;
  Buffer<CudaExec, std::uint32_t> column_;
  Buffer<CudaExec, float> value_;
  PinnedBuffer<std::uint8_t> pinned_bytes_;
  PinnedBuffer<float> pinned_floats_;
  PinnedBuffer<std::int64_t> pinned_begin_;
  PinnedBuffer<std::uint32_t> pinned_column_;
  PinnedBuffer<float> pinned_value_;
  SideCopies copies_;  // last: it waits for copies before the memory goes
};

/// Batches of a part in host memory, in an order that is laid out ahead. `exec` and the part must outlive it.
class RowStream {
 public:
  /// Batches of up to `batch` rows. Throws std::runtime_error if the device has too little memory for two
  /// chunks, which are a batch each where there is little.
  RowStream(const CudaExec& exec, const DataPart& part, std::int64_t batch)
      : batch_(batch), batches_(batches_of_chunk(exec, part, batch)), slots_(exec, part, batches_ * batch) {}

  /// Lays out the coming batches: batch i is order[i * batch] and on.
  void begin(std::span<const std::uint32_t> order) {
    if (slot_ >= 0) slots_.copies().release(slot_);
    slot_ = -1;
    next_ = 0;
    order_.assign(order.begin(), order.end());
  }
  /// Where batch i of those laid out stands when its turn comes.
  std::int64_t place(std::int64_t i) const { return slots_.place(slot_of(i)) + i % batches_ * batch_; }

  /// To be called once before each batch's work is enqueued.
  void feed() {
    if (next_ % batches_ == 0) begin_chunk(slot_of(next_));
    ++next_;
  }
  const RowSlots& slots() const { return slots_; }

 private:
  static std::int64_t batches_of_chunk(const CudaExec& exec, const DataPart& part, std::int64_t batch) {
    const std::int64_t all = (part.rows + batch - 1) / batch;
    const std::int64_t bytes = std::min(exec.placement().chunk_bytes, cuda_free_memory() / 16);
    const std::int64_t of_batch =
        std::max<std::int64_t>(stored_bytes(part) / std::max<std::int64_t>(all, 1), 1);
    return std::clamp<std::int64_t>(bytes / of_batch, 1, std::max<std::int64_t>(all, 1));
  }

  int slot_of(std::int64_t batch) const { return static_cast<int>(batch / batches_ % SideCopies::kSlots); }

  void begin_chunk(int slot) {
    if (slot_ >= 0) slots_.copies().release(slot_);
    const auto first = static_cast<std::size_t>(next_ * batch_);
    const auto most = static_cast<std::size_t>(batches_ * batch_);
    slots_.fill(slot, std::span(order_).subspan(first, std::min(most, order_.size() - first)));
    slots_.copies().acquire(slot);
    slot_ = slot;
  }

  std::int64_t batch_, batches_;  // rows of a batch, batches of a chunk
  RowSlots slots_;
  std::vector<std::uint32_t> order_;
  std::int64_t next_ = 0;  // batch
  int slot_ = -1;          // that the work under way reads; -1: none
};

}  // namespace felbo
