#include "host/data/byte_source.h"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "kernels/common/check.h"

namespace felbo {

/// Decompresses the members of a gzip file, one after another.
class Inflater {
 public:
  Inflater() {
    // 15: the largest window; + 16: a gzip header and trailer, checked.
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Up to `count` bytes; fewer only at the end of the last member. `read_raw(char*, n)` gives compressed
  /// bytes.
  template <class ReadRaw>
  std::int64_t read(const std::string& path, char* to, std::int64_t count, const ReadRaw& read_raw) {
    constexpr std::int64_t kMostAtOnce = 1 << 30;  // zlib counts in 32 bits
    const std::int64_t most = std::min(count, kMostAtOnce);
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(most);
    while (stream_.avail_out > 0) {
      if (stream_.avail_in == 0) refill(read_raw);
      if (member_ended_ && !begin_next_member(path)) break;
      FELBO_CHECK(stream_.avail_in > 0,
                  "{}: the gzip file ends in the middle of its data, at byte {}; it is truncated: fetch or "
                  "copy it again",
                  path, consumed());
      step(path);
    }
    return most - stream_.avail_out;
  }

 private:
  template <class ReadRaw>
  void refill(const ReadRaw& read_raw) {
    stream_.avail_in = static_cast<uInt>(read_raw(input_.data(), static_cast<std::int64_t>(input_.size())));
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    loaded_ += stream_.avail_in;
  }

  bool begin_next_member(const std::string& path) {
    if (stream_.avail_in == 0) return false;
    FELBO_CHECK(*stream_.next_in == 0x1f,
                "{}: bytes that are not gzip follow the end of the compressed data, from byte {}; the file "
                "is damaged: "
                "fetch or copy it again",
                path, consumed());
    inflateReset(&stream_);
    member_ended_ = false;
    return true;
  }

  void step(const std::string& path) {
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    FELBO_CHECK(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR,
                "{}: corrupt gzip data near byte {} ({}); fetch or copy the file again", path, consumed(),
                stream_.msg != nullptr ? stream_.msg : zError(status));
    member_ended_ = status == Z_STREAM_END;
  }

  /// Compressed bytes used.
  std::int64_t consumed() const { return loaded_ - static_cast<std::int64_t>(stream_.avail_in); }

  z_stream stream_{};
  std::array<char, 1 << 16> input_;
  std::int64_t loaded_ = 0;
  bool member_ended_ = false;
};

namespace {

void check_regular_file(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  FELBO_CHECK(status.type() != std::filesystem::file_type::not_found, "{}: no such file or folder", path);
  FELBO_CHECK(!error, "{}: cannot be read ({})", path, error.message());
  FELBO_CHECK(!std::filesystem::is_directory(status), "{}: is a folder; expected a file", path);
  FELBO_CHECK(std::filesystem::is_regular_file(status),
              "{}: is not a regular file (a pipe, socket or device); save the data to a file first", path);
}

}  // namespace

ByteSource::ByteSource(std::string path) : path_(std::move(path)) {
  check_regular_file(path_);
  file_.reset(std::fopen(path_.c_str(), "rb"));
  FELBO_CHECK(file_ != nullptr, "{}: cannot be read ({})", path_, std::strerror(errno));
  constexpr std::int64_t kHead = 8, kMostTimes = 256;  // pictures are packed to a third or a tenth
  const auto size = static_cast<std::int64_t>(std::filesystem::file_size(path_));
  head_.resize(kHead);
  head_.resize(read_raw(head_.data(), kHead));
  if (head_.size() >= 2 && head_[0] == '\x1f' && head_[1] == '\x8b') {
    std::rewind(file_.get());
    inflater_ = std::make_unique<Inflater>();
    most_ = most_expanded(size, kMostTimes);
    head_.resize(kHead);
    head_.resize(read_some(head_.data(), kHead));
  } else {
    size_ = size;
  }
}

ByteSource::ByteSource(std::string name, std::FILE* stream, std::int64_t most)
    : path_(std::move(name)), file_(stream), most_(most) {}

ByteSource::~ByteSource() = default;

void ByteSource::read(void* to, std::int64_t count, std::string_view what) {
  char* out = static_cast<char*>(to);
  std::int64_t have = std::min(count, static_cast<std::int64_t>(head_.size()) - head_used_);
  std::memcpy(out, head_.data() + head_used_, have);
  head_used_ += have;
  while (have < count) {
    const std::int64_t got = read_some(out + have, count - have);
    if (got == 0) break;
    have += got;
  }
  FELBO_CHECK(have == count,
              "{}: the {}ends at byte {}, in the middle of {}: {} bytes expected from byte {}, {} found; it "
              "is truncated: "
              "fetch or copy it again",
              path_, inflater_ ? "decompressed data " : "file ", position_ + have, what, count, position_,
              have);
  position_ += count;
}

void ByteSource::expect_end() {
  char extra = 0;
  const bool more = head_used_ < static_cast<std::int64_t>(head_.size()) || read_some(&extra, 1) > 0;
  if (!more) return;
  throw std::invalid_argument(fmt::format(
      "{}: the data end at byte {} by the header, but {} bytes follow; the header or the file is damaged",
      path_, position_, size_ ? std::to_string(*size_ - position_) : "more"));
}

void ByteSource::check_remaining(std::int64_t count, std::int64_t size, std::string_view what) const {
  const std::int64_t left = size_.value_or(most_) - position_;
  if (count <= left / size) return;
  const double bytes = static_cast<double>(count) * static_cast<double>(size);
  FELBO_CHECK(
      !size_,
      "{}: the header asks for {:.0f} bytes of {} from byte {}, but the file has only {} there; it is "
      "truncated or its header is damaged: fetch or copy it again",
      path_, bytes, what, position_, left);
  throw std::invalid_argument(
      fmt::format("{}: the header asks for {:.0f} bytes of {}, but compressed data of this size are read up "
                  "to {} bytes; the header is damaged, or the data must be decompressed first",
                  path_, bytes, what, most_));
}

std::int64_t ByteSource::read_some(char* to, std::int64_t count) {
  if (!inflater_) return read_raw(to, count);
  return inflater_->read(path_, to, count, [this](char* raw, std::int64_t n) { return read_raw(raw, n); });
}

std::int64_t ByteSource::read_raw(char* to, std::int64_t count) {
  errno = 0;
  const std::size_t got = std::fread(to, 1, static_cast<std::size_t>(count), file_.get());
  if (std::ferror(file_.get()) != 0) {
    throw std::runtime_error(fmt::format("{}: reading failed ({})", path_, std::strerror(errno)));
  }
  return static_cast<std::int64_t>(got);
}

}  // namespace felbo
