// A file that holds one array, and the header that its format (IDX, .npy) declares.
#pragma once

#include <string>
#include <vector>

#include "host/data/byte_source.h"
#include "host/data/data_part.h"

namespace felbo {

/// What a header says of the values that follow it.
struct ArrayHeader {
  enum class Type { kUint8, kFloat32 };
  Type type = Type::kUint8;
  bool big_endian = false;
  std::vector<std::int64_t> sizes;  // outermost first; not negative
};

/// Reads one part from `path`, an IDX or .npy file, plain or gzipped, or a .npz file, found by content.
/// Throws as load_data() does.
DataPart read_array_file(const std::string& path);

/// Reads the values that follow a header, to the end of the file. Throws std::invalid_argument unless they
/// are 2-D or 3-D, not empty, all there, all finite, and the last thing in the file.
DataPart read_array(ByteSource& source, const ArrayHeader& header);

}  // namespace felbo
