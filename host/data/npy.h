// NumPy's .npy format (numpy.lib.format, versions 1.0, 2.0 and 3.0): "\x93NUMPY", the version, the length of
// the header, the header as the text of a Python dict, then the values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/data/array_file.h"

namespace felbo {

/// Whether a file that begins with `head` is .npy.
bool is_npy(std::string_view head);

/// What the header says, in the words of the file.
struct NpyHeader {
  std::string type;  // '<f4' and the like, without quotes; of a structured array its list
  bool fortran_order = false;
  std::vector<std::int64_t> shape;  // not negative
};
/// Reads it. Throws std::invalid_argument for an unknown version or a malformed header.
NpyHeader read_npy_text(ByteSource& source);

/// Reads the header of data. Throws std::invalid_argument for an unknown version, a malformed header, Fortran
/// order, or a type other than uint8 ('|u1') and little-endian float32 ('<f4'), saying how to convert the
/// array.
ArrayHeader read_npy_header(ByteSource& source);

}  // namespace felbo
