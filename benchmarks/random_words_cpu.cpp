#include "benchmarks/random_words.h"

#include <algorithm>

#include "kernels/gather/gather_words.h"

namespace felbo::bench {
namespace {

/// Made at a time: 4 KiB of words stay in the first-level cache.
constexpr int kBlocks = 256;
static_assert(kBlocks % gather_words::kBlocksAtOnce == 0);

std::uint32_t words_of(const NoiseStream& stream, std::uint32_t datum, int blocks) {
  alignas(64) std::uint32_t words[4 * kBlocks];
  std::uint32_t all = 0;
  for (int first = 0; first < blocks; first += kBlocks) {
    const int count = std::min(kBlocks, blocks - first);
    gather_words::fill(stream, datum, static_cast<std::uint32_t>(first), count, words);
    for (int i = 0; i < 4 * count; ++i) all ^= words[i];
  }
  return all;
}

}  // namespace

void random_words(const CpuExec& exec, const RandomWordsArgs& a) {
  const NoiseStream stream = a.stream.now();
  exec.parallel_for(a.out.size, 1 + 1024 / a.blocks, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      a.out(n) = words_of(stream, static_cast<std::uint32_t>(n), a.blocks);
  });
}

}  // namespace felbo::bench
