// cuRAND's device header as the oracle of felbo's random words, compiled for the host: needs the CUDA
// toolkit's headers, and no GPU.
#include <gtest/gtest.h>

#include "tests/curand/curand_words.h"

namespace felbo::test {
namespace {

TEST(Curand, WordsAgree) {
  constexpr std::int64_t kWords = 4099;  // no multiple of the four that a block has
  std::int64_t compared = 0;
  for (const std::uint64_t seed :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{42}, std::uint64_t{0xffffffff},
        std::uint64_t{0x100000000}, std::uint64_t{0x123456789abcdef0}, ~std::uint64_t{0}}) {
    for (const std::uint64_t subsequence :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xffffffff}, std::uint64_t{0x100000000},
          std::uint64_t{0xc0000007deadbeef}, ~std::uint64_t{0}}) {
      for (const std::uint64_t offset :
           {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3}, std::uint64_t{1000001},
            std::uint64_t{0x3fffffffe},  // the low half of the block number wraps
            std::uint64_t{0x123456789abcde}}) {
        EXPECT_EQ(differing_words({seed, subsequence, offset}, kWords), 0)
            << seed << " " << subsequence << " " << offset;
        compared += kWords;
      }
    }
  }
  EXPECT_GE(compared, 1000000);
}

// The words of an op's noise are those that docs/notation.md names.
TEST(Curand, NoiseIsNamedAsDocumented) {
  for (const std::uint64_t seed : {std::uint64_t{42}, std::uint64_t{0xfedcba9876543210}}) {
    for (const Purpose purpose :
         {Purpose::kInit, Purpose::kLatent, Purpose::kHeldOutLatent, Purpose::kSplit}) {
      for (const std::uint32_t step : {0u, 7u, (1u << 30) - 1}) {
        for (const std::uint32_t datum : {0u, 3u, 59999u, 0xffffffffu}) {
          for (const std::uint32_t sample : {0u, 1u, kMaxNoiseSamples - 1}) {
            EXPECT_EQ(differing_noise({seed, step, purpose}, datum, sample, 65), 0)
                << seed << " " << step << " " << datum << " " << sample;
          }
        }
      }
    }
  }
}

// The example of docs/notation.md.
TEST(Curand, KnownWords) {
  const CurandName name = curand_name({42, 7, Purpose::kLatent}, 3, 1, 0);
  curandStatePhilox4_32_10_t state;
  curand_init(name.seed, name.subsequence, name.offset, &state);
  for (const std::uint32_t word : {0x8317b93au, 0x40a5d253u, 0xe07cf014u, 0x6da7a51eu}) {
    EXPECT_EQ(curand(&state), word);
  }
}

// A comparison that cannot fail shows nothing: one bit of the name, and nearly all words differ.
TEST(Curand, TheComparisonCanFail) {
  const CurandName name{42, 5, 9};
  for (const CurandName other : {CurandName{43, 5, 9}, CurandName{42 + (std::uint64_t{1} << 32), 5, 9},
                                 CurandName{42, 4, 9}, CurandName{42, 5, 13}}) {
    curandStatePhilox4_32_10_t state;
    curand_init(other.seed, other.subsequence, other.offset, &state);
    int differing = 0;
    for (std::uint64_t i = 0; i < 100; ++i) differing += curand(&state) != felbo_word(name, i);
    EXPECT_GE(differing, 99);
  }
}

}  // namespace
}  // namespace felbo::test
