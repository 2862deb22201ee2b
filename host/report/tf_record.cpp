#include "host/report/tf_record.h"

#include <array>
#include <cstdint>

namespace felbo::report {
namespace {

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4), byte by byte.
std::uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> of_byte{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
      of_byte[i] = crc;
    }
    return of_byte;
  }();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = table[(crc ^ static_cast<std::uint8_t>(byte)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

/// Masked, as TFRecords have it: a CRC of bytes that hold their CRC would be no check.
std::string masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return little_endian<std::uint32_t>(((crc >> 15) | (crc << 17)) + 0xa282ead8u);
}

}  // namespace

std::string tf_record(std::string_view data) {
  const std::string length = little_endian<std::uint64_t>(data.size());
  std::string record = length + masked_crc(length);
  record += data;
  return record + masked_crc(data);
}

}  // namespace felbo::report
