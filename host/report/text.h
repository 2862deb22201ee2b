// Text as pages show it: escaped, and numbers as a reader expects them.
#pragma once

#include <string>
#include <string_view>

namespace felbo::report {

/// `text` for HTML and SVG, in elements and in quoted attributes: the five characters with a meaning become
/// references. What is no UTF-8, and control characters other than tab and newline, become U+FFFD.
std::string escape(std::string_view text);

/// The bytes in base64 (RFC 4648), padded, on one line.
std::string base64(std::string_view bytes);

/// A number with `decimals` places and a real minus sign; "not a number" and "infinite" in words.
std::string fixed(double value, int decimals);

/// A number in `digits` significant digits, shortest form, with a real minus sign: 0.001, 1.5e-7.
std::string shortest(double value, int digits = 6);

/// "−99.48 ± 0.24": the standard error to two significant digits, the value to the same place; without one
/// (NaN) the value to two places.
std::string figure(double value, double standard_error);

}  // namespace felbo::report
