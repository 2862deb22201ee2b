// Memory owned by an Exec.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

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

/// Copies elements of the host to the front of an Exec's memory, or back; done when it returns. `to` has
/// room.
template <class T>
void upload(const CpuExec&, std::type_identity_t<std::span<const T>> from, View<T, 1> to) {
  std::ranges::copy(from, to.data);
}
template <class T>
void download(const CpuExec&, View<T, 1> from, std::type_identity_t<std::span<std::remove_const_t<T>>> to) {
  std::copy_n(from.data, to.size(), to.data());
}
/// The elements of an Exec's memory on the host.
template <class Exec, class T>
std::vector<std::remove_const_t<T>> to_host(const Exec& exec, View<T, 1> from) {
  std::vector<std::remove_const_t<T>> to(static_cast<std::size_t>(from.size));
  download(exec, from, to);
  return to;
}
/// Enqueues a copy from an Exec's memory to another place in it. `to` has room.
template <class T>
void copy(const CpuExec&, std::type_identity_t<View<const T, 1>> from, View<T, 1> to) {
  std::copy_n(from.data, from.size, to.data);
}
/// Enqueues zeros.
template <class T>
void zero(const CpuExec&, View<T, 1> memory) {
  std::fill_n(memory.data, memory.size, T());
}

}  // namespace felbo
