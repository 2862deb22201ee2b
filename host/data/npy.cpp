#include "host/data/npy.h"

#include <array>
#include <charconv>
#include <optional>

namespace felbo {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

/// Reads a Python dict of the three keys that .npy uses; anything else is malformed.
class DictReader {
 public:
  DictReader(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  void read() {
    expect('{');
    while (!take('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr") {
        descr = value_text();
      } else if (key == "fortran_order") {
        fortran_order = boolean();
      } else if (key == "shape") {
        shape = tuple();
      } else {
        fail();
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size() || !descr || !fortran_order || !shape) fail();
  }

  std::optional<std::string_view> descr;  // as it stands in the file, quotes and all
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;

 private:
  [[noreturn]] void fail() const {
    throw std::invalid_argument(
        fmt::format("{}: malformed .npy header: expected {{'descr': ..., 'fortran_order': ..., 'shape': "
                    "(...)}}, got \"{}\"; save the "
                    "array again with numpy.save",
                    path_, text_.substr(0, 120)));
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail();
  }
  bool take_word(std::string_view word) {
    skip_space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  std::string_view string() {
    skip_space();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail();
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail();
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }
  /// A string, or the list that describes a structured array.
  std::string_view value_text() {
    skip_space();
    const std::size_t begin = at_;
    if (begin < text_.size() && text_[begin] == '[') {
      const std::size_t end = text_.find(']', begin);
      if (end == std::string_view::npos) fail();
      at_ = end + 1;
    } else {
      string();
    }
    return text_.substr(begin, at_ - begin);
  }
  bool boolean() {
    if (take_word("True")) return true;
    if (take_word("False")) return false;
    fail();
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> sizes;
    expect('(');
    while (!take(')')) {
      skip_space();
      std::int64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0) fail();
      sizes.push_back(size);
      at_ = static_cast<std::size_t>(end - text_.data());
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  const std::string& path_;
  std::string_view text_;
  std::size_t at_ = 0;
};

ArrayHeader::Type value_type(const std::string& path, std::string_view name) {
  if (name == "|u1") return ArrayHeader::Type::kUint8;
  FELBO_CHECK(name == "<f4",
              "{}: .npy type {} is not supported; expected '|u1' (uint8) or '<f4' (float32): save "
              "array.astype('float32') instead",
              path, name.starts_with('[') ? std::string(name) : fmt::format("'{}'", name));
  return ArrayHeader::Type::kFloat32;
}

std::string read_dict_text(ByteSource& source) {
  std::array<char, 6> magic;
  source.read(magic.data(), 6, "the .npy magic");
  std::array<std::uint8_t, 2> version;
  source.read(version.data(), 2, "the .npy version");
  FELBO_CHECK(version[0] >= 1 && version[0] <= 3 && version[1] == 0,
              "{}: .npy version {}.{} at byte 6 is unknown; expected 1.0, 2.0 or 3.0", source.path(),
              version[0], version[1]);
  std::array<std::uint8_t, 4> b{};
  source.read(b.data(), version[0] == 1 ? 2 : 4, "the .npy header's length");
  const std::int64_t length = b[0] | b[1] << 8 | b[2] << 16 | std::int64_t{b[3]} << 24;
  constexpr std::int64_t kLongest = 1 << 16;  // of a plain array; numpy pads to well below 256
  FELBO_CHECK(length <= kLongest,
              "{}: the .npy header is {} bytes long by byte 8, expected at most {}; it is damaged",
              source.path(), length, kLongest);
  std::string text(static_cast<std::size_t>(length), '\0');
  source.read(text.data(), length, "the .npy header");
  return text;
}

}  // namespace

bool is_npy(std::string_view head) { return head.starts_with(kMagic); }

NpyHeader read_npy_text(ByteSource& source) {
  const std::string text = read_dict_text(source);
  DictReader dict(source.path(), text);
  dict.read();
  std::string_view type = *dict.descr;
  if (!type.starts_with('[')) type = type.substr(1, type.size() - 2);
  return {std::string(type), *dict.fortran_order, *dict.shape};
}

ArrayHeader read_npy_header(ByteSource& source) {
  const NpyHeader header = read_npy_text(source);
  const ArrayHeader::Type type = value_type(source.path(), header.type);
  FELBO_CHECK(!header.fortran_order,
              "{}: the array is in Fortran order (columns first); expected C order: save "
              "numpy.ascontiguousarray(array) "
              "instead",
              source.path());
  return {type, /*big_endian=*/false, header.shape};
}

}  // namespace felbo
