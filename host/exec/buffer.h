// Memory owned by an Exec.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>

#include "host/exec/cpu_exec.h"
#include "kernels/common/view.h"

namespace felbo {

template <class Exec, class T>
class Buffer;

/// `size` zeroed elements of host memory, aligned to a cache line. Move-only.
template <class T>
class Buffer<CpuExec, T> {
 public:
  Buffer() = default;
  Buffer(const CpuExec&, std::int64_t size)
      : data_(static_cast<T*>(::operator new(bytes(size), kAlignment))), size_(size) {
    std::memset(static_cast<void*>(data_.get()), 0, bytes(size));
  }

  T* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }
  std::span<T> host() const { return {data_.get(), static_cast<std::size_t>(size_)}; }
  View<T, 1> view() const { return {data_.get(), size_}; }
  View<T, 1> vector(std::int64_t size) const { return {data_.get(), size}; }
  View<T, 2> matrix(std::int64_t rows, std::int64_t cols) const { return {data_.get(), rows, cols}; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  static std::size_t bytes(std::int64_t size) { return static_cast<std::size_t>(size) * sizeof(T); }
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<T, Free> data_;
  std::int64_t size_ = 0;
};

}  // namespace felbo
