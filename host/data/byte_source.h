// The bytes of a file, front to back, uncompressed where the file is gzipped.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace felbo {

class Inflater;

/// The bytes that a compressed file of `size` bytes may hold: 64 MiB and `times` as many.
constexpr std::int64_t most_expanded(std::int64_t size, std::int64_t times) {
  return (std::int64_t{64} << 20) + size * times;
}

/// Reads a plain or gzip file once, in order, with bounded memory. Gzip is found by its magic 1f 8b;
/// concatenated members are one stream. Every error is a std::invalid_argument naming the file and the byte,
/// but for a read that fails half-way, which is a std::runtime_error.
class ByteSource {
 public:
  /// Throws std::invalid_argument unless `path` is a regular file that can be read.
  explicit ByteSource(std::string path);
  /// Bytes of an open stream, which are taken as they are; `name` stands for the file in messages. Their
  /// number is not known, so memory grows as they arrive, and a header may ask for at most `most` of them.
  ByteSource(std::string name, std::FILE* stream, std::int64_t most);
  ~ByteSource();

  const std::string& path() const { return path_; }
  /// Bytes read so far, counted after decompression.
  std::int64_t position() const { return position_; }
  /// The first bytes, at most 8, fewer in a shorter file. Stays valid as reading goes on.
  const std::string& head() const { return head_; }

  /// Reads exactly `count` bytes; `what` names them in the message when the file ends early or is corrupt.
  void read(void* to, std::int64_t count, std::string_view what);

  /// Reads `count` values of T. A plain file that is too short is refused before anything is allocated; for
  /// gzip, whose size is not known, the vector doubles as values arrive, so a header's claim alone allocates
  /// nothing. A gzip file may expand to 64 MiB and 256 times its size: what asks for more is refused, so that
  /// a small file takes little memory whatever it holds.
  template <class T>
  std::vector<T> read_values(std::int64_t count, std::string_view what);

  /// Throws std::invalid_argument unless everything has been read. Reading to the end also checks gzip's
  /// checksum.
  void expect_end();

 private:
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  void check_remaining(std::int64_t count, std::int64_t size, std::string_view what) const;
  std::int64_t read_some(char* to, std::int64_t count);
  std::int64_t read_raw(char* to, std::int64_t count);

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::unique_ptr<Inflater> inflater_;  // null for a plain file
  std::optional<std::int64_t> size_;    // of a plain file
  std::int64_t most_ = 0;               // of others: what their headers may ask for
  std::string head_;
  std::int64_t head_used_ = 0;
  std::int64_t position_ = 0;
};

template <class T>
std::vector<T> ByteSource::read_values(std::int64_t count, std::string_view what) {
  constexpr std::int64_t kFirstStep = (1 << 20) / sizeof(T);
  const auto bytes = [](std::int64_t values) { return values * static_cast<std::int64_t>(sizeof(T)); };
  check_remaining(count, sizeof(T), what);
  std::vector<T> values;
  for (std::int64_t have = 0; have < count;) {
    const std::int64_t next = size_ ? count : std::min(count, std::max(kFirstStep, 2 * have));
    values.reserve(static_cast<std::size_t>(next));
    values.resize(static_cast<std::size_t>(next));
    read(values.data() + have, bytes(next - have), what);
    have = next;
  }
  return values;
}

}  // namespace felbo
