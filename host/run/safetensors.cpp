#include "host/run/safetensors.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <system_error>

#include "host/run/atomic_file.h"
#include "host/run/sha256.h"
#include "kernels/common/check.h"

namespace felbo {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors files are little endian");

constexpr const char* kMetadata = "__metadata__";
constexpr const char* kAdvice = "restore a copy of the file or train again";
constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the format's own bound
constexpr std::uint64_t kAlignment = 8;

using Pieces = std::span<const std::span<const std::byte>>;

/// (zlib takes a null pointer as a request for the start value.)
std::string crc32_of(Pieces pieces) {
  uLong sum = 0;
  for (const auto bytes : pieces) {
    if (!bytes.empty()) sum = crc32_z(sum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  }
  return fmt::format("{:08x}", sum);
}

std::string sha256_of(Pieces pieces) {
  Sha256 sum;
  for (const auto bytes : pieces) sum.update(bytes);
  return sum.hex_digest();
}

/// A checksum of the tensors' bytes, in one metadata entry, and of the header, in another.
struct ChecksumKind {
  const char* data;
  const char* header;
  std::string (*of)(Pieces);
};
constexpr ChecksumKind kWritten{"sha256", "header_sha256", sha256_of};
/// What is verified where it is found: earlier versions wrote CRCs.
constexpr ChecksumKind kRead[] = {kWritten, {"crc32", "header_crc32", crc32_of}};

std::string header_checksum(const ChecksumKind& kind, json header) {
  header[kMetadata].erase(kind.header);
  const std::string text = header.dump();
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return kind.of(std::span(&bytes, 1));
}

/// The number of elements of a shape; false if it does not fit 2^61 (so that its bytes fit 63 bits).
bool count_elements(std::span<const std::int64_t> shape, std::uint64_t& count) {
  count = 1;
  for (const std::int64_t extent : shape) {
    if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(extent), &count)) return false;
  }
  return count < (std::uint64_t{1} << 61);
}

// ---- writing

void check_to_write(const std::filesystem::path& path, const TensorToWrite& tensor) {
  const std::string where = fmt::format("{}: tensor '{}'", path.string(), tensor.name);
  FELBO_CHECK(!tensor.name.empty() && tensor.name != kMetadata, "{}: this name cannot be used", where);
  FELBO_CHECK(std::ranges::all_of(tensor.shape, [](std::int64_t n) { return n >= 0; }),
              "{}: shape [{}] has a negative extent", where, fmt::join(tensor.shape, ", "));
  std::uint64_t count = 0;
  FELBO_CHECK(count_elements(tensor.shape, count) && count == tensor.data.size(),
              "{}: shape [{}] does not fit its {} values", where, fmt::join(tensor.shape, ", "),
              tensor.data.size());
}

std::string checksum_of(std::span<const TensorToWrite> tensors) {
  std::vector<std::span<const std::byte>> pieces;
  for (const TensorToWrite& tensor : tensors) pieces.push_back(std::as_bytes(tensor.data));
  return kWritten.of(pieces);
}

json make_header(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                 const std::map<std::string, std::string>& metadata) {
  for (const ChecksumKind& kind : kRead) {
    for (const char* reserved : {kind.data, kind.header}) {
      FELBO_CHECK(!metadata.contains(reserved), "{}: the metadata entry '{}' is written by felbo itself",
                  path.string(), reserved);
    }
  }
  json header = {{kMetadata, metadata}};
  std::uint64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    check_to_write(path, tensor);
    FELBO_CHECK(!header.contains(tensor.name), "{}: two tensors are named '{}'", path.string(), tensor.name);
    const std::uint64_t end = offset + tensor.data.size_bytes();
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  header[kMetadata][kWritten.data] = checksum_of(tensors);
  header[kMetadata][kWritten.header] = header_checksum(kWritten, header);
  return header;
}

std::string header_text(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                        const std::map<std::string, std::string>& metadata) {
  try {
    std::string text = make_header(path, tensors, metadata).dump();
    text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
    FELBO_CHECK(text.size() <= kMostHeaderBytes,
                "{}: names, shapes and metadata take {} bytes; a header holds at most {}", path.string(),
                text.size(), kMostHeaderBytes);
    return text;
  } catch (const json::exception& error) {
    throw std::invalid_argument(fmt::format("{}: a tensor's name or the metadata is not UTF-8 text ({})",
                                            path.string(), error.what()));
  }
}

// ---- reading

/// JSON for a message: a damaged file may hold any amount of it.
std::string excerpt(const json& value) {
  constexpr std::size_t kMost = 120;
  const std::string text = value.dump();
  return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

/// A file opened for reading, whose size is known.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path) : path_(path.string()) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    FELBO_CHECK(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status),
                "{}: expected a safetensors file, found a folder or a device; name the file itself", path_);
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const int reason = errno;
    if (fd_ < 0 && is_machine_failure(reason)) {
      throw std::runtime_error(
          fmt::format("{}: cannot open the file: {}", path_, std::generic_category().message(reason)));
    }
    FELBO_CHECK(fd_ >= 0, "{}: cannot open the file: {}", path_, std::generic_category().message(reason));
    struct stat info {};
    if (::fstat(fd_, &info) == 0) size_ = static_cast<std::uint64_t>(info.st_size);
  }
  ~InputFile() { ::close(fd_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }

  void read(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::read(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        throw std::runtime_error(
            fmt::format("{}: cannot read the file: {}", path_, std::generic_category().message(errno)));
      }
      FELBO_CHECK(count > 0, "{}: the file became shorter while it was read; {}", path_, kAdvice);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }

 private:
  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

std::string read_header(InputFile& file, const std::string& path) {
  FELBO_CHECK(
      file.size() >= kLengthBytes,
      "{}: the file is truncated or no safetensors file: it has {} bytes, at least {} were expected; {}",
      path, file.size(), kLengthBytes, kAdvice);
  std::uint64_t length = 0;
  file.read(std::as_writable_bytes(std::span(&length, 1)));
  FELBO_CHECK(
      length <= kMostHeaderBytes,
      "{}: no safetensors file: its first 8 bytes give a header of {} bytes, at most {} are allowed; {}",
      path, length, kMostHeaderBytes, kAdvice);
  FELBO_CHECK(length <= file.size() - kLengthBytes,
              "{}: the file is truncated: a header of {} bytes was expected from byte 8 on, {} are there; {}",
              path, length, file.size() - kLengthBytes, kAdvice);
  std::string text(length, '\0');
  file.read(std::as_writable_bytes(std::span(text)));
  FELBO_CHECK(text.starts_with('{'),
              "{}: no safetensors file: byte 8, where the header starts, is not '{{'; {}", path, kAdvice);
  return text;
}

/// A parser callback that refuses what the JSON parser itself would pass: names given twice (the last would
/// win in silence) and nesting deeper than the format has.
class HeaderGuard {
 public:
  explicit HeaderGuard(const std::string& path) : path_(path) {}

  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      FELBO_CHECK(depth <= 2, "{}: the header is nested deeper than the format allows; {}", path_, kAdvice);
      keys_[depth].clear();
    }
    if (event == Event::key) {
      const std::string key = parsed.get<std::string>();
      FELBO_CHECK(keys_[depth - 1].insert(key).second, "{}: the header holds '{}' twice; {}", path_, key,
                  kAdvice);
    }
    return true;
  }

 private:
  const std::string& path_;
  std::set<std::string> keys_[3];
};

json parse_header(const std::string& text, const std::string& path) {
  HeaderGuard guard(path);
  const std::size_t end = text.find('\0');  // where the parser would stop without a word
  FELBO_CHECK(end == std::string::npos, "{}: the header is not valid JSON at byte {} of the file; {}", path,
              kLengthBytes + end + 1, kAdvice);
  try {
    return json::parse(text, std::ref(guard));
  } catch (const json::parse_error& error) {
    throw std::invalid_argument(fmt::format("{}: the header is not valid JSON at byte {} of the file; {}",
                                            path, kLengthBytes + error.byte, kAdvice));
  } catch (const json::exception& error) {
    throw std::invalid_argument(
        fmt::format("{}: the header is not valid JSON ({}); {}", path, error.what(), kAdvice));
  }
}

/// The place of a tensor in the data, in bytes.
struct Entry {
  std::string name;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::vector<std::int64_t> parse_shape(const json& value, const std::string& where) {
  FELBO_CHECK(value.is_array(), "{}: expected a list as its shape; {}", where, kAdvice);
  std::vector<std::int64_t> shape;
  for (const json& extent : value) {
    FELBO_CHECK(extent.is_number_unsigned() && extent.get<std::uint64_t>() <= INT64_MAX,
                "{}: expected whole numbers of 0 or more as its shape, got {}; {}", where, excerpt(value),
                kAdvice);
    shape.push_back(extent.get<std::int64_t>());
  }
  return shape;
}

Entry parse_entry(const std::string& name, const json& value, const std::string& path) {
  const std::string where = fmt::format("{}: tensor '{}'", path, name);
  FELBO_CHECK(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
                  value.contains("data_offsets"),
              "{}: expected an object of dtype, shape and data_offsets, got {}; {}", where, excerpt(value),
              kAdvice);
  FELBO_CHECK(value["dtype"] == "F32",
              "{}: its type is {}, only \"F32\" is read; convert it to float32 first", where,
              excerpt(value["dtype"]));
  Entry entry{name, parse_shape(value["shape"], where)};

  const json& offsets = value["data_offsets"];
  FELBO_CHECK(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
                  offsets[1].is_number_unsigned() && offsets[0] <= offsets[1],
              "{}: expected two ascending whole numbers as data_offsets, got {}; {}", where, excerpt(offsets),
              kAdvice);
  entry.begin = offsets[0].get<std::uint64_t>();
  entry.end = offsets[1].get<std::uint64_t>();

  std::uint64_t count = 0;
  FELBO_CHECK(count_elements(entry.shape, count), "{}: the size of shape [{}] overflows; {}", where,
              fmt::join(entry.shape, ", "), kAdvice);
  FELBO_CHECK(entry.end - entry.begin == count * sizeof(float),
              "{}: shape [{}] takes {} bytes, data_offsets give it {}; {}", where,
              fmt::join(entry.shape, ", "), count * sizeof(float), entry.end - entry.begin, kAdvice);
  return entry;
}

/// The tensors of the header, ordered by their place in the data.
std::vector<Entry> parse_entries(const json& header, const std::string& path) {
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != kMetadata) entries.push_back(parse_entry(name, value, path));
  }
  std::ranges::sort(entries, {}, [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
  return entries;
}

/// The tensors must tile the data: a format in which bytes may hide or be read twice cannot be trusted.
void check_layout(std::span<const Entry> entries, std::uint64_t data_bytes, const std::string& path) {
  std::uint64_t furthest = 0;
  for (const Entry& entry : entries) furthest = std::max(furthest, entry.end);
  FELBO_CHECK(
      furthest <= data_bytes,
      "{}: the file is truncated: {} bytes of tensors were expected after the header, {} are there; {}", path,
      furthest, data_bytes, kAdvice);
  std::uint64_t expected = 0;
  for (const Entry& entry : entries) {
    FELBO_CHECK(entry.begin >= expected,
                "{}: tensor '{}' overlaps the one before it (starts at byte {}, not {}); {}", path,
                entry.name, entry.begin, expected, kAdvice);
    FELBO_CHECK(entry.begin <= expected,
                "{}: bytes {} to {} of the data, before tensor '{}', belong to no tensor; {}", path, expected,
                entry.begin, entry.name, kAdvice);
    expected = entry.end;
  }
  FELBO_CHECK(expected == data_bytes, "{}: {} bytes follow the last tensor, none were expected; {}", path,
              data_bytes - expected, kAdvice);
}

std::map<std::string, std::string> parse_metadata(const json& header, const std::string& path) {
  std::map<std::string, std::string> metadata;
  if (!header.contains(kMetadata)) return metadata;
  FELBO_CHECK(header[kMetadata].is_object(), "{}: {} is not an object; {}", path, kMetadata, kAdvice);
  for (const auto& [key, value] : header[kMetadata].items()) {
    FELBO_CHECK(value.is_string(), "{}: metadata entry '{}' is {}, a string was expected; {}", path, key,
                excerpt(value), kAdvice);
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// Both checksums of a kind or, in a file of another program, neither. The header's goes first: it vouches
/// for the other.
void check_checksums(const ChecksumKind& kind, const json& header,
                     std::map<std::string, std::string>& metadata, std::span<const std::byte> data,
                     const std::string& path) {
  const auto data_sum = metadata.extract(kind.data);
  const auto header_sum = metadata.extract(kind.header);
  FELBO_CHECK(data_sum.empty() == header_sum.empty(),
              "{}: only one of the metadata entries '{}' and '{}' is there; {}", path, kind.data, kind.header,
              kAdvice);
  if (data_sum.empty()) return;
  const std::string got_header = header_checksum(kind, header);
  FELBO_CHECK(header_sum.mapped() == got_header,
              "{}: the header is damaged: its checksum is {}, {} was expected; {}", path, got_header,
              header_sum.mapped(), kAdvice);
  const std::string got = kind.of(std::span(&data, 1));
  FELBO_CHECK(data_sum.mapped() == got,
              "{}: the tensors are damaged: their checksum is {}, {} was expected; {}", path, got,
              data_sum.mapped(), kAdvice);
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_text(path, tensors, metadata);
  const std::uint64_t length = header.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const TensorToWrite& tensor : tensors) file.write(std::as_bytes(tensor.data));
  file.commit();
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  const std::string name = path.string();
  InputFile file(path);
  const std::string text = read_header(file, name);
  const json header = parse_header(text, name);
  FELBO_CHECK(header.is_object(), "{}: the header is not a JSON object; {}", name, kAdvice);
  metadata_ = parse_metadata(header, name);
  const std::vector<Entry> entries = parse_entries(header, name);
  const std::uint64_t data_bytes = file.size() - kLengthBytes - text.size();
  check_layout(entries, data_bytes, name);

  data_.resize(data_bytes / sizeof(float));
  file.read(std::as_writable_bytes(std::span(data_)));
  for (const ChecksumKind& kind : kRead)
    check_checksums(kind, header, metadata_, std::as_bytes(std::span(data_)), name);
  for (const Entry& entry : entries) {
    tensors_[entry.name] = {entry.shape, entry.begin / sizeof(float),
                            (entry.end - entry.begin) / sizeof(float)};
  }
}

const SafetensorsFile::Tensor& SafetensorsFile::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  FELBO_CHECK(found != tensors_.end(), "{}: there is no tensor '{}'; the file holds: {}", path_.string(),
              name, fmt::join(names(), ", "));
  return found->second;
}

std::span<const float> SafetensorsFile::tensor(const std::string& name,
                                               const std::vector<std::int64_t>& expected_shape) const {
  const Tensor& found = find(name);
  FELBO_CHECK(found.shape == expected_shape,
              "{}: tensor '{}' has shape [{}], [{}] was expected; the file is of another model",
              path_.string(), name, fmt::join(found.shape, ", "), fmt::join(expected_shape, ", "));
  return std::span(data_).subspan(found.begin, found.size);
}

const std::vector<std::int64_t>& SafetensorsFile::shape(const std::string& name) const {
  return find(name).shape;
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::pair<std::uint64_t, std::string>> placed;
  for (const auto& [name, tensor] : tensors_) placed.emplace_back(tensor.begin, name);
  std::ranges::sort(placed);
  std::vector<std::string> names;
  names.reserve(placed.size());
  for (auto& [begin, name] : placed) names.push_back(std::move(name));
  return names;
}

const std::string& SafetensorsFile::metadata(const std::string& key) const {
  const auto found = metadata_.find(key);
  FELBO_CHECK(found != metadata_.end(), "{}: the metadata entry '{}' is missing; {}", path_.string(), key,
              kAdvice);
  return found->second;
}

}  // namespace felbo
