// The words that felbo and cuRAND make on a GPU, one stream a thread.
#include <gtest/gtest.h>

#include "kernels/common/cuda/launch.h"
#include "tests/curand/curand_words.h"
#include "tests/harness/exec.h"

namespace felbo::test {
namespace {

constexpr int kBlock = 128;

__global__ void count_differing(CurandName first, std::int64_t words, View<std::int64_t, 1> differing) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kBlock + threadIdx.x;
  if (i >= differing.size) return;
  // Steps that change both halves of each number.
  const auto step = static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15u;
  const CurandName name{first.seed + step, first.subsequence + 3 * step, first.offset + step % 1000003};
  differing(i) = differing_words(name, words) +
                 differing_noise({name.seed, static_cast<std::uint32_t>(i), Purpose::kLatent},
                                 static_cast<std::uint32_t>(7 * i), static_cast<std::uint32_t>(i % 50), 16);
}

TEST(CurandDevice, WordsAgree) {
  constexpr std::int64_t kStreams = 4096, kWords = 1023;
  Array<std::int64_t> differing(kStreams, -1);
  const View<std::int64_t, 1> view{differing.data(), kStreams};
  launch(exec(1), count_differing, blocks_for(kStreams, kBlock), kBlock, 0, CurandName{42, 5, 9}, kWords,
         view);
  the_cuda_exec().synchronize();
  for (std::int64_t i = 0; i < kStreams; ++i) EXPECT_EQ(differing[static_cast<std::size_t>(i)], 0) << i;
}

}  // namespace
}  // namespace felbo::test
