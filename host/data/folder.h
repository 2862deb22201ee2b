// Which files of a folder are the parts of a data set.
#pragma once

#include <optional>
#include <string>

namespace felbo {

/// Paths of the parts that a folder holds.
struct FolderParts {
  std::string train;
  std::optional<std::string> valid;
  std::optional<std::string> test;
};

/// Finds the parts by name, as load_data() describes. Throws std::invalid_argument, with a list of the
/// folder's files, when it holds no training images or two different files for one part.
FolderParts find_parts(const std::string& folder);

}  // namespace felbo
