// What is fuzzed: one function for each kind of input that felbo takes from outside. A function parses any
// bytes; that they are refused (std::invalid_argument) is in order, any other exception is a bug, and so is a
// result that breaks what the parser promises (std::logic_error).
#pragma once

#include <array>
#include <string_view>

namespace felbo::fuzz {

/// An IDX file. The first two bytes are set to IDX's, so that all inputs are about it.
void idx(std::string_view bytes);
/// A gzip file; bytes that do not begin as one are compressed first.
void gzip(std::string_view bytes);
/// A .npy file; the magic is set.
void npy(std::string_view bytes);
/// A .npz file of sparse rows; bytes that do not begin as a zip archive are the five members (format, shape,
/// indptr, indices, data), each but the last after its length in two bytes, little endian.
void npz(std::string_view bytes);
/// A safetensors file, read as any and as a checkpoint.
void safetensors(std::string_view bytes);
/// A run's configuration.
void toml(std::string_view bytes);
/// The flags of a run, one a line.
void flags(std::string_view bytes);

struct Target {
  const char* name;
  void (*parse)(std::string_view bytes);
};

inline constexpr std::array kTargets{Target{"idx", idx},    Target{"gzip", gzip},
                                     Target{"npy", npy},    Target{"npz", npz},
                                     Target{"toml", toml},  Target{"safetensors", safetensors},
                                     Target{"flags", flags}};

}  // namespace felbo::fuzz
