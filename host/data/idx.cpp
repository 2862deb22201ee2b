#include "host/data/idx.h"

#include <array>

namespace felbo {
namespace {

std::string_view type_name(std::uint8_t type) {
  switch (type) {
    case 0x09:
      return "int8";
    case 0x0b:
      return "int16";
    case 0x0c:
      return "int32";
    case 0x0e:
      return "float64";
    default:
      return "unknown";
  }
}

ArrayHeader::Type value_type(const std::string& path, std::uint8_t type) {
  if (type == 0x08) return ArrayHeader::Type::kUint8;
  FELBO_CHECK(type == 0x0d,
              "{}: IDX type {:02x} ({}) at byte 2 is not supported; expected 08 (uint8) or 0d (float32): "
              "convert the file",
              path, type, type_name(type));
  return ArrayHeader::Type::kFloat32;
}

}  // namespace

bool is_idx(std::string_view head) { return head.size() >= 4 && head[0] == 0 && head[1] == 0; }

ArrayHeader read_idx_header(ByteSource& source) {
  std::array<std::uint8_t, 4> magic;
  source.read(magic.data(), 4, "the IDX magic");
  ArrayHeader header{value_type(source.path(), magic[2]), /*big_endian=*/true, {}};
  for (int i = 0; i < magic[3]; ++i) {
    std::array<std::uint8_t, 4> b;
    source.read(b.data(), 4, "the IDX header");
    header.sizes.push_back(std::int64_t{b[0]} << 24 | std::int64_t{b[1]} << 16 | std::int64_t{b[2]} << 8 |
                           b[3]);
  }
  return header;
}

}  // namespace felbo
