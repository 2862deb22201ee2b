// One flat buffer holds all parameters of a model; this table says which part is what. The same offsets carve
// the gradients and Adam's moments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/common/view.h"

namespace felbo {

/// A named tensor within the flat buffer. `offset` and `size` count floats.
struct ParameterEntry {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0;
  std::int64_t size = 0;
};

class ParameterTable {
 public:
  /// Appends a tensor, aligned to 16 floats, and returns its index. Throws std::invalid_argument if the name
  /// is taken, a dimension is not positive, or the table grows beyond 2^48 floats.
  int add(std::string name, std::vector<std::int64_t> shape);

  const std::vector<ParameterEntry>& entries() const { return entries_; }
  const ParameterEntry& operator[](int index) const { return entries_[static_cast<std::size_t>(index)]; }
  /// Floats in the flat buffer, padding included.
  std::int64_t size() const { return size_; }
  /// Parameters of the model: the padding is not counted.
  std::int64_t parameters() const;

 private:
  std::vector<ParameterEntry> entries_;
  std::int64_t size_ = 0;
};

/// The tensor `entry` within the flat buffer `flat`, as a matrix (its first dimension by the product of the
/// others) or as a vector.
template <class T>
View<T, 2> matrix_of(View<T, 1> flat, const ParameterEntry& entry) {
  return {flat.data + entry.offset, entry.shape[0], entry.size / entry.shape[0]};
}
template <class T>
View<T, 1> vector_of(View<T, 1> flat, const ParameterEntry& entry) {
  return flat.slice(entry.offset, entry.size);
}

}  // namespace felbo
