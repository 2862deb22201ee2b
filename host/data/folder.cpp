#include "host/data/folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "kernels/common/check.h"

namespace felbo {
namespace {

enum class Role { kNone, kTrain, kValid, kTest, kUnnamed };

bool contains(std::string_view name, std::string_view what) {
  return name.find(what) != std::string_view::npos;
}

/// Downloads under way or refused (.part, .wrong), backups and the like are no data files.
bool has_data_ending(std::string_view name) {
  if (name.ends_with(".gz")) name.remove_suffix(3);
  return name.ends_with("ubyte") || name.ends_with("idx") || name.ends_with(".npy") ||
         name.ends_with(".npz") || !contains(name, ".");
}

Role role_of(std::string_view name) {
  if (name.starts_with('.') || !has_data_ending(name) || !contains(name, "images")) return Role::kNone;
  if (contains(name, "train-images")) return Role::kTrain;
  if (contains(name, "valid-images")) return Role::kValid;
  if (contains(name, "t10k-images") || contains(name, "test-images")) return Role::kTest;
  return contains(name, "idx") || contains(name, "ubyte") ? Role::kUnnamed : Role::kNone;
}

/// Names of the folder's files, sorted.
std::vector<std::string> file_names(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (!entry->is_directory(error)) names.push_back(entry->path().filename().string());
    error.clear();
  }
  FELBO_CHECK(!error, "{}: the folder cannot be read ({})", folder, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::string listing(std::vector<std::string> names) {
  constexpr std::size_t kMost = 16;
  if (names.empty()) return "nothing";
  const std::size_t more = names.size() > kMost ? names.size() - kMost : 0;
  names.resize(names.size() - more);
  return fmt::format("{}{}", fmt::join(names, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

/// The names that play `role`, without the .gz of a file that is there uncompressed too.
std::vector<std::string> names_with_role(const std::vector<std::string>& names, Role role) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    if (role_of(name) != role) continue;
    // Sorted, so a file's plain name comes before its .gz.
    if (!found.empty() && name == found.back() + ".gz") continue;
    found.push_back(name);
  }
  return found;
}

std::optional<std::string> path_with_role(const std::string& folder, const std::vector<std::string>& names,
                                          Role role, std::string_view what) {
  const std::vector<std::string> found = names_with_role(names, role);
  FELBO_CHECK(found.size() <= 1, "{}: {} files could be the {} part ({}); keep one of them, or name one file",
              folder, found.size(), what, listing(found));
  if (found.empty()) return std::nullopt;
  return (std::filesystem::path(folder) / found[0]).string();
}

}  // namespace

FolderParts find_parts(const std::string& folder) {
  const std::vector<std::string> names = file_names(folder);
  FolderParts parts;
  parts.valid = path_with_role(folder, names, Role::kValid, "valid");
  parts.test = path_with_role(folder, names, Role::kTest, "test");
  std::optional<std::string> train = path_with_role(folder, names, Role::kTrain, "train");
  if (!train && !parts.valid && !parts.test) train = path_with_role(folder, names, Role::kUnnamed, "train");
  FELBO_CHECK(train.has_value(),
              "{}: no training images: expected a file like train-images-idx3-ubyte, plain or .gz; found {}",
              folder, listing(names));
  parts.train = *train;
  return parts;
}

}  // namespace felbo
