#include "host/report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace felbo::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kMinus = "\xE2\x88\x92";

/// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with none (RFC 3629: no overlong
/// forms, no surrogates, nothing above U+10FFFF).
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const std::uint8_t second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool beyond = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
  return overlong || beyond ? 0 : length;
}

std::string_view reference_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n') || c == 0x7F;
}

std::string with_minus(std::string text) {
  for (std::size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += kMinus.size())
    text.replace(at, 1, kMinus);
  return text;
}

std::string in_words(double value) {
  return std::isnan(value) ? "not a number" : value < 0 ? "minus infinite" : "infinite";
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const std::string_view reference = reference_of(text[0]);
    if (length == 0 || (length == 1 && is_control(text[0]))) {
      out += kReplacement;
    } else if (!reference.empty()) {
      out += reference;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = 0;
    for (std::size_t j = 0; j < 3; ++j)
      word = word << 8 | (j < count ? static_cast<std::uint8_t>(bytes[i + j]) : 0u);
    for (std::size_t j = 0; j < 4; ++j) out += j <= count ? kDigits[word >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

std::string fixed(double value, int decimals) {
  if (!std::isfinite(value)) return in_words(value);
  std::string text = fmt::format("{:.{}f}", value, decimals);
  if (text.find_first_of("123456789") == std::string::npos && text.starts_with('-')) text.erase(0, 1);
  return with_minus(text);
}

std::string shortest(double value, int digits) {
  if (!std::isfinite(value)) return in_words(value);
  std::string text = fmt::format("{:.{}g}", value == 0.0 ? 0.0 : value, digits);
  const std::size_t e = text.find('e');
  if (e != std::string::npos) {  // 1e-07 -> 1e-7, 1e+06 -> 1e6
    if (text[e + 1] == '+') text.erase(e + 1, 1);
    const std::size_t digit = e + (text[e + 1] == '-' ? 2 : 1);
    while (text.size() > digit + 1 && text[digit] == '0') text.erase(digit, 1);
  }
  return with_minus(text);
}

std::string figure(double value, double standard_error) {
  if (!(standard_error > 0.0) || !std::isfinite(standard_error)) return fixed(value, 2);
  // 0.0996 is 0.10 in two digits, and needs no third place.
  const int place = 1 - static_cast<int>(std::floor(std::log10(standard_error / 0.995)));
  const int decimals = std::clamp(place, 0, 9);
  return fixed(value, decimals) + " \xC2\xB1 " + fixed(standard_error, decimals);
}

}  // namespace felbo::report
