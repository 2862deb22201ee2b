// Every file of the corpora (tests/fuzz/corpus/TARGET), as it stands and changed at random with a fixed seed.
// scripts/fuzz.sh looks further, guided by coverage; what it finds becomes a file here.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace felbo::fuzz {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Files of a target's corpus by name.
std::map<std::string, std::string> corpus_of(const std::string& target) {
  std::map<std::string, std::string> files;
  const std::filesystem::path folder = std::filesystem::path(FELBO_SOURCE_DIR) / "tests/fuzz/corpus" / target;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files[entry.path().filename()] = read_file(entry.path());
  return files;
}

/// Changes inputs: the same seed makes the same changes everywhere.
class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : words_(seed) {}

  std::string operator()(std::string bytes, const std::string& other) {
    const std::size_t changes = 1 + below(4);
    for (std::size_t i = 0; i < changes; ++i) change(bytes, other);
    return bytes;
  }

 private:
  /// In [0, n); a small bias does no harm here.
  std::size_t below(std::size_t n) { return words_() % std::max<std::size_t>(n, 1); }

  void change(std::string& bytes, const std::string& other) {
    const std::size_t at = below(bytes.size()), left = bytes.size() - at;
    switch (below(8)) {
      case 0:
        if (left > 0) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        return;
      case 1:
        if (left > 0) bytes[at] = static_cast<char>(words_());
        return;
      case 2:
        bytes.insert(at, std::string(1 + below(8), static_cast<char>(words_())));
        return;
      case 3:
        bytes.erase(at, 1 + below(16));
        return;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), below(32)));
        return;
      case 5:
        bytes.resize(at);
        return;
      case 6:
        return put_number(bytes, at);
      default:
        bytes.replace(at, below(32), other.substr(below(other.size()), below(64)));
    }
  }

  /// A number at the edge of its type, of either byte order, or the edge as text.
  void put_number(std::string& bytes, std::size_t at) {
    constexpr std::uint64_t kEdges[] = {
        0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, 0xffffffffffffffff};
    const std::uint64_t edge = kEdges[below(std::size(kEdges))];
    std::string text;
    if (below(4) == 0) {
      text =
          std::to_string(below(2) == 0 ? static_cast<std::int64_t>(edge) : -static_cast<std::int64_t>(edge));
    } else {
      const std::size_t length = std::size_t{2} << below(3);
      for (std::size_t i = 0; i < length; ++i) text += static_cast<char>(edge >> (8 * i));
      if (below(2) == 0) std::ranges::reverse(text);
    }
    bytes.replace(at, text.size(), text);
  }

  std::mt19937 words_;  // its sequence is the standard's
};

int mutations() {
  const char* asked = std::getenv("FELBO_FUZZ_MUTATIONS");
  return asked == nullptr ? 200 : std::atoi(asked);
}

class Corpus : public ::testing::TestWithParam<Target> {};

/// The parser's answer to bytes that an exception then names.
void expect_no_other_exception(const Target& target, const std::string& bytes, const std::string& name) {
  try {
    target.parse(bytes);
  } catch (const std::exception& error) {
    const std::string path = ::testing::TempDir() + "/felbo-fuzz-" + target.name;
    std::ofstream(path, std::ios::binary) << bytes;
    ADD_FAILURE() << target.name << ", " << name << ": " << error.what() << "\nThe input is in " << path;
  }
}

TEST_P(Corpus, IsTakenOrRefusedAndSoAreItsVariants) {
  const Target target = GetParam();
  const auto files = corpus_of(target.name);
  ASSERT_GE(files.size(), 8u);
  std::vector<std::string> all;
  for (const auto& [name, bytes] : files) all.push_back(bytes);
  Mutator mutate(2026);
  int parsed = 0;
  for (const auto& [name, bytes] : files) {
    expect_no_other_exception(target, bytes, name);
    for (int i = 0; i < mutations() && !HasFailure(); ++i) {
      const std::string& other = all[static_cast<std::size_t>(i) % all.size()];
      expect_no_other_exception(target, mutate(bytes, other), name + ", change " + std::to_string(i));
    }
    parsed += 1 + mutations();
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf("%s: %d inputs from %zu files; peak memory of the process %ld MiB\n", target.name, parsed,
              files.size(), usage.ru_maxrss / 1024);
  EXPECT_LT(usage.ru_maxrss, 1 << 20) << "KiB";
}

INSTANTIATE_TEST_SUITE_P(Targets, Corpus, ::testing::ValuesIn(kTargets),
                         [](const auto& info) { return std::string(info.param.name); });

// A test that passes whatever happens proves nothing.
TEST(FuzzInput, OnlyARefusalIsInOrder) {
  EXPECT_TRUE(accepts([] {}));
  EXPECT_FALSE(accepts([] { throw std::invalid_argument("no"); }));
  EXPECT_THROW(accepts([] { throw std::out_of_range("index"); }), std::out_of_range);
  EXPECT_THROW(accepts([] { require(false, "it holds"); }), std::logic_error);
}

}  // namespace
}  // namespace felbo::fuzz
