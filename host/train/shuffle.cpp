#include "host/train/shuffle.h"

#include <numeric>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/common/noise_stream.h"

namespace felbo {
namespace {

/// The words of one epoch, one after another.
class WordSequence {
 public:
  WordSequence(std::uint64_t seed, std::uint32_t epoch) : stream_{seed, epoch, Purpose::kShuffle} {}

  std::uint32_t next() {
    if (used_ == 4) {
      // The 64-bit block number stands in the datum (high half) and the block.
      words_ = stream_.words(static_cast<std::uint32_t>(block_ >> 32), 0, static_cast<std::uint32_t>(block_));
      ++block_;
      used_ = 0;
    }
    return words_.w[used_++];
  }

  /// Uniform in [0, bound).
  std::uint32_t below(std::uint32_t bound) {
    const std::uint32_t reject =
        (0u - bound) % bound;  // 2^32 mod bound products would be counted once too often
    for (;;) {
      const std::uint64_t product = std::uint64_t{next()} * bound;
      if (static_cast<std::uint32_t>(product) >= reject) return static_cast<std::uint32_t>(product >> 32);
    }
  }

 private:
  NoiseStream stream_;
  std::uint64_t block_ = 0;
  Words4 words_{};
  int used_ = 4;
};

}  // namespace

std::vector<std::uint32_t> epoch_order(std::uint64_t seed, std::uint32_t epoch, std::int64_t n) {
  FELBO_CHECK(n >= 0 && n < std::int64_t{1} << 32, "cannot shuffle {} rows: at most 2^32 - 1", n);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0u);
  WordSequence words(seed, epoch);
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[words.below(static_cast<std::uint32_t>(i))]);
  }
  return order;
}

}  // namespace felbo
