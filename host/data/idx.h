// The IDX format of the MNIST files (Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten
// digits"): 00 00 TYPE DIMENSIONS, one big-endian 32-bit size a dimension, then the values, big-endian,
// row-major.
#pragma once

#include <string_view>

#include "host/data/array_file.h"

namespace felbo {

/// Whether a file that begins with `head` is IDX: two zero bytes and room for a type and a number of
/// dimensions.
bool is_idx(std::string_view head);

/// Reads the header. Throws std::invalid_argument for a type other than unsigned byte (08) and float32 (0d),
/// which it names, and for a header that is cut short.
ArrayHeader read_idx_header(ByteSource& source);

}  // namespace felbo
