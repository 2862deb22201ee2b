// TensorFlow's records, of which event files are made (tensorflow/core/lib/io/record_writer.h).
#pragma once

#include <string>
#include <string_view>

namespace felbo::report {

/// The data's length (8 bytes, little endian), its CRC, the data, their CRC. A CRC is a CRC-32C, turned right
/// by 15 bits with 0xa282ead8 added.
std::string tf_record(std::string_view data);

}  // namespace felbo::report
