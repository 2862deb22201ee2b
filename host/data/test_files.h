// Files for tests of the readers: made byte by byte, in a folder that goes with the test.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/data/test_gzip.h"

namespace felbo::test {

/// A fresh folder, removed with all it holds at the end of its scope.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::path(testing::TempDir()) / "felbo-data-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + name);
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }
  /// Writes a file and returns its path.
  std::string write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream file(path(name), std::ios::binary);
    file << content;
    file.close();
    if (!file) throw std::runtime_error("cannot write " + path(name));
    return path(name);
  }

 private:
  std::string path_;
};

inline std::string big_endian(std::uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
          static_cast<char>(v)};
}

/// An IDX file.
inline std::string idx(int type, const std::vector<std::uint32_t>& sizes, const std::string& values) {
  std::string file = {0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes) file += big_endian(size);
  return file + values;
}

/// Bytes 0, step, 2 step, ... modulo 256.
inline std::string ramp(int count, int step = 1) {
  std::string s;
  for (int i = 0; i < count; ++i) s += static_cast<char>(i * step);
  return s;
}

/// Floats in little-endian order.
inline std::string floats(const std::vector<float>& values) {
  std::string s(values.size() * sizeof(float), '\0');
  std::memcpy(s.data(), values.data(), s.size());
  return s;
}

/// A .npy file around the given header text.
inline std::string npy_with_header(int version, const std::string& header, const std::string& values) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>(header.size() >> (8 * i));
  return file + header + values;
}

/// A .npy file as numpy.save writes it: the header padded so that the values begin at a multiple of 64.
inline std::string npy(const std::string& descr, const std::string& shape, const std::string& values,
                       int version = 1, const std::string& fortran = "False") {
  std::string header =
      "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  while ((header.size() + 1 + (version == 1 ? 10 : 12)) % 64 != 0) header += ' ';
  return npy_with_header(version, header + "\n", values);
}

/// Expects `f` to throw std::invalid_argument with a message that holds every one of `parts`.
inline void expect_bad_input(const std::function<void()>& f, const std::vector<std::string>& parts) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "missing: " << part << "\nmessage: " << error.what();
    }
    return;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
    return;
  }
  ADD_FAILURE() << "no error; expected: " << (parts.empty() ? "" : parts[0]);
}

}  // namespace felbo::test
