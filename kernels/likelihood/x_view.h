// x as it is stored: floats, bytes or bfloat16. Which, an op is told when it is called, so that one
// signature, one loop on a CPU and (row.cuh) one kernel of a heavy family serve all three.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/common/bfloat16.h"
#include "kernels/common/view.h"
#include "kernels/gather/gather_math.h"

namespace felbo {

/// From an element of the data to x: floats and bfloat16 as they stand, bytes as byte / divisor.
template <class Data>
struct XScale {
  static XScale of(float /*divisor*/) { return {}; }
  FELBO_HD float operator()(float element) const { return element; }
};
template <>
struct XScale<std::uint8_t> {
  gather_math::ByteIntensity intensity;
  static XScale of(float divisor) { return {gather_math::ByteIntensity::of(divisor)}; }
  FELBO_HD float operator()(float element) const { return intensity(element); }
};

/// One row of x.
template <class Data>
struct XRow {
  const Data* data;
  XScale<Data> scale = {};

  /// Element j.
  FELBO_HD float at(std::int64_t j) const { return scale(static_cast<float>(data[j])); }
  /// Elements [begin, end) in floats, for the CPU: where they stand, or else in `room`.
  const float* span(std::int64_t begin, std::int64_t end, float* room) const {
    if constexpr (std::is_same_v<Data, float>) {
      return data + begin;
    } else {
      for (std::int64_t j = begin; j < end; ++j) room[j - begin] = at(j);
      return room;
    }
  }
};

enum class XStorage : std::int32_t { kFloat, kByte, kBFloat16 };

/// Stands for the element type of a row that is stored in any of them.
struct AnyStorage {};

template <>
struct XRow<AnyStorage> {
  const void* data;
  XStorage storage;
  gather_math::ByteIntensity intensity;  // of bytes

  /// The same row; its storage must be Data.
  template <class Data>
  FELBO_HD XRow<Data> as() const {
    if constexpr (std::is_same_v<Data, AnyStorage>) {
      return *this;
    } else if constexpr (std::is_same_v<Data, std::uint8_t>) {
      return {static_cast<const std::uint8_t*>(data), {intensity}};
    } else {
      return {static_cast<const Data*>(data)};
    }
  }
  FELBO_HD float at(std::int64_t j) const {
    if (storage == XStorage::kFloat) return as<float>().at(j);
    return storage == XStorage::kByte ? as<std::uint8_t>().at(j) : as<BFloat16>().at(j);
  }
  const float* span(std::int64_t begin, std::int64_t end, float* room) const {
    if (storage == XStorage::kFloat) return as<float>().span(begin, end, room);
    return storage == XStorage::kByte ? as<std::uint8_t>().span(begin, end, room)
                                      : as<BFloat16>().span(begin, end, room);
  }
};

/// x (rows, cols), row-major, `stride` elements from one row to the next. A view of floats or of bfloat16
/// becomes one by itself, its values taken as they stand; one of bytes with the divisor that makes x of them,
/// x = byte / divisor rounded to float: 255 for intensities, 1 for counts, K - 1 for K levels (1 for K = 1).
/// So bytes give the bits that floats of the same values give. bfloat16 has 8 significant bits, which hold
/// counts up to 256; other values are the caller's to round.
struct XView {
  const void* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
  XStorage storage = XStorage::kFloat;
  float divisor = 1.0f;  // of bytes
  float reciprocal = 1.0f;

  XView() = default;
  template <class T>
  requires std::is_same_v < std::remove_const_t<T>,
  float > XView(View<T, 2> x) : XView(x, XStorage::kFloat, 1.0f) {}
  template <class T>
  requires std::is_same_v<std::remove_const_t<T>, BFloat16> XView(View<T, 2> x)
      : XView(x, XStorage::kBFloat16, 1.0f) {}
  template <class T>
  requires std::is_same_v<std::remove_const_t<T>, std::uint8_t> XView(View<T, 2> x, float divisor)
      : XView(x, XStorage::kByte, divisor) {}

  FELBO_HD XRow<AnyStorage> row(std::int64_t i) const {
    return {static_cast<const unsigned char*>(data) + i * stride * element_bytes(),
            storage,
            {divisor, reciprocal}};
  }
  FELBO_HD float operator()(std::int64_t i, std::int64_t j) const { return row(i).at(j); }

 private:
  template <class T>
  XView(View<T, 2> x, XStorage storage, float divisor)
      : data(x.data),
        rows(x.rows),
        cols(x.cols),
        stride(x.stride),
        storage(storage),
        divisor(divisor),
        reciprocal(1.0f / divisor) {}

  FELBO_HD std::int64_t element_bytes() const {
    if (storage == XStorage::kFloat) return sizeof(float);
    return storage == XStorage::kByte ? sizeof(std::uint8_t) : sizeof(BFloat16);
  }
};

}  // namespace felbo
