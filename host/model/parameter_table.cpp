#include "host/model/parameter_table.h"

#include <fmt/ranges.h>

#include "kernels/common/check.h"

namespace felbo {

int ParameterTable::add(std::string name, std::vector<std::int64_t> shape) {
  for (const ParameterEntry& entry : entries_)
    FELBO_CHECK(entry.name != name, "parameter {} stands twice", name);
  constexpr std::int64_t kMost = std::int64_t{1} << 48;  // more than any machine holds
  std::int64_t size = 1;
  bool fits = true;
  for (const std::int64_t extent : shape) {
    FELBO_CHECK(extent > 0, "parameter {}: every dimension must be positive, got {}", name, extent);
    fits = fits && !__builtin_mul_overflow(size, extent, &size);
  }
  FELBO_CHECK(fits && size <= kMost - size_, "parameter {} of {}: a model of more than 2^48 numbers", name,
              fmt::join(shape, " x "));
  constexpr std::int64_t kAlign = 16;  // a cache line, so that vector loads of every tensor are aligned
  const std::int64_t offset = size_;
  size_ = offset + (size + kAlign - 1) / kAlign * kAlign;
  entries_.push_back({std::move(name), std::move(shape), offset, size});
  return static_cast<int>(entries_.size()) - 1;
}

std::int64_t ParameterTable::parameters() const {
  std::int64_t count = 0;
  for (const ParameterEntry& entry : entries_) count += entry.size;
  return count;
}

}  // namespace felbo
