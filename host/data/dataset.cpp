#include "host/data/dataset.h"

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "host/data/array_file.h"
#include "host/data/folder.h"
#include "host/data/glyphs.h"
#include "host/data/linear_gaussian.h"

namespace felbo {
namespace {

constexpr std::string_view kBuiltin = "builtin:";

std::uint64_t parse_seed(const std::string& spec, std::string_view text) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  FELBO_CHECK(
      error == std::errc() && end == text.data() + text.size(),
      "{}: the seed \"{}\" is not a whole number from 0 to 2^64 - 1; write builtin:NAME or builtin:NAME:SEED",
      spec, text);
  return seed;
}

DataSet load_builtin(const std::string& spec) {
  const std::string_view rest = std::string_view(spec).substr(kBuiltin.size());
  const std::size_t colon = rest.find(':');
  const std::string_view name = rest.substr(0, colon);
  const std::uint64_t seed = colon == std::string_view::npos ? 0 : parse_seed(spec, rest.substr(colon + 1));
  if (name == "glyphs") return glyph_data(seed);
  if (name == "linear-gaussian") return linear_gaussian_data(seed);
  throw std::invalid_argument(fmt::format(
      "{}: there is no built-in data set \"{}\"; there are builtin:glyphs and builtin:linear-gaussian", spec,
      name));
}

std::string describe(const DataPart& part) {
  const std::string_view type = part.is_sparse() ? "sparse rows" : (part.is_bytes() ? "uint8" : "float32");
  if (part.shape == ImageShape{}) return fmt::format("{} columns of {}", part.cols, type);
  return fmt::format("{} x {} pictures of {}", part.shape.height, part.shape.width, type);
}

void check_same_kind(const std::string& folder, const DataPart& train, const std::optional<DataPart>& part,
                     std::string_view name) {
  FELBO_CHECK(!part || (part->cols == train.cols && part->shape == train.shape &&
                        part->is_bytes() == train.is_bytes() && part->is_sparse() == train.is_sparse()),
              "{}: the {} part has {}, the train part {}; all parts must agree: are they of one data set?",
              folder, name, part ? describe(*part) : "", describe(train));
}

DataSet load_folder(const std::string& folder) {
  const FolderParts files = find_parts(folder);
  DataSet set;
  set.train = read_array_file(files.train);
  if (files.valid) set.valid = read_array_file(*files.valid);
  if (files.test) set.test = read_array_file(*files.test);
  check_same_kind(folder, set.train, set.valid, "valid");
  check_same_kind(folder, set.train, set.test, "test");
  return set;
}

DataSet load_path(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return load_folder(path);
  DataSet set;
  set.train = read_array_file(path);
  return set;
}

}  // namespace

DataSet load_data(const std::string& spec) {
  FELBO_CHECK(!spec.empty(), "no data: name a folder, a file or a built-in set such as builtin:glyphs");
  DataSet set = spec.starts_with(kBuiltin) ? load_builtin(spec) : load_path(spec);
  set.spec = spec;
  return set;
}

}  // namespace felbo
