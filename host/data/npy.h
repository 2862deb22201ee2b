// NumPy's .npy format (numpy.lib.format, versions 1.0, 2.0 and 3.0): "\x93NUMPY", the version, the length of
// the header, the header as the text of a Python dict, then the values.
#pragma once

#include <string_view>

#include "host/data/array_file.h"

namespace felbo {

/// Whether a file that begins with `head` is .npy.
bool is_npy(std::string_view head);

/// Reads the header. Throws std::invalid_argument for an unknown version, a malformed header, Fortran order,
/// or a type other than uint8 ('|u1') and little-endian float32 ('<f4'), saying how to convert the array.
ArrayHeader read_npy_header(ByteSource& source);

}  // namespace felbo
