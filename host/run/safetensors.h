// The safetensors file format (https://github.com/huggingface/safetensors), float32 tensors only: the length
// of the header (8 bytes, little endian), the header in JSON, the tensors' bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace felbo {

/// A tensor to be stored: row-major, as many values as the product of `shape` (an empty shape is a scalar).
struct TensorToWrite {
  std::string name;
  std::vector<std::int64_t> shape;
  std::span<const float> data;
};

/// Writes the tensors in the order given, by an AtomicFile: `path` holds either its old content or all of the
/// new. Two metadata entries are added for SafetensorsFile to verify, 64 hex digits each: `sha256` (of the
/// tensors' bytes) and `header_sha256` (of the header's JSON without that entry, keys sorted, no white
/// space). Throws std::invalid_argument for a name used twice or reserved, text that is not UTF-8, metadata
/// that names an entry of a checksum, or a shape that does not fit its data; and as AtomicFile does.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);

/// A safetensors file, read into memory once (as much memory as the file is long). The constructor checks
/// everything before anything can be asked for: sizes, JSON, types, shapes, offsets (no overlap, no hole),
/// duplicate names and the checksums: `sha256`, or the `crc32` and `header_crc32` that earlier versions wrote
/// in its place. Files of other programs, which have no checksums, are accepted.
class SafetensorsFile {
 public:
  /// Throws std::invalid_argument if the file is missing, unreadable or not valid in any point, naming the
  /// file, the point, what was expected and what to do; std::runtime_error if the disk fails.
  explicit SafetensorsFile(const std::filesystem::path& path);

  /// The tensor's values, row-major; the memory is this object's. Throws std::invalid_argument if there is no
  /// such tensor or its shape is another.
  std::span<const float> tensor(const std::string& name,
                                const std::vector<std::int64_t>& expected_shape) const;
  /// Throws std::invalid_argument if there is no such tensor.
  const std::vector<std::int64_t>& shape(const std::string& name) const;
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  /// In the order of the data.
  std::vector<std::string> names() const;

  /// All metadata but the checksums.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Throws std::invalid_argument if the file has no such entry.
  const std::string& metadata(const std::string& key) const;

 private:
  struct Tensor {
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;  // in floats
    std::uint64_t size = 0;   // in floats
  };
  const Tensor& find(const std::string& name) const;

  std::filesystem::path path_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::string> metadata_;
  std::vector<float> data_;
};

}  // namespace felbo
