#include <algorithm>

#include "kernels/gather/gather.h"
#include "kernels/gather/gather_check.h"
#include "kernels/gather/gather_math.h"
#include "kernels/gather/gather_words.h"

namespace felbo {
namespace {

constexpr std::int64_t kTile = 512;    // random words made at a time: they stay in the first-level cache
constexpr std::int64_t kGrain = 8192;  // pixels that are worth a thread
static_assert(kTile % (4 * gather_words::kBlocksAtOnce) == 0);

template <class T>
void intensity_row(const T* __restrict data, std::int64_t n, float divisor, float* __restrict x) {
  for (std::int64_t j = 0; j < n; ++j) x[j] = gather_math::intensity(static_cast<float>(data[j]), divisor);
}

template <class T>
void threshold_row(const T* __restrict data, std::int64_t n, float divisor, float* __restrict x) {
  for (std::int64_t j = 0; j < n; ++j) {
    x[j] = gather_math::threshold(gather_math::intensity(static_cast<float>(data[j]), divisor));
  }
}

template <class T>
void draw_row(const NoiseStream& noise, std::uint32_t datum, const T* __restrict data, std::int64_t n,
              float divisor, float* __restrict x) {
  alignas(64) std::uint32_t words[kTile];
  for (std::int64_t begin = 0; begin < n; begin += kTile) {
    const std::int64_t count = std::min(kTile, n - begin);
    gather_words::fill(noise, datum, static_cast<std::uint32_t>(begin / 4), static_cast<int>((count + 3) / 4),
                       words);
    for (std::int64_t j = 0; j < count; ++j) {
      const float v = gather_math::intensity(static_cast<float>(data[begin + j]), divisor);
      x[begin + j] = gather_math::draw(v, words[j]);
    }
  }
}

/// Asks for the start of a row that is wanted soon: the processor cannot guess rows in a shuffled order.
template <class T>
void prefetch(const T* row, std::int64_t n) {
  const std::int64_t bytes = std::min<std::int64_t>(n * static_cast<std::int64_t>(sizeof(T)), 4096);
  for (std::int64_t k = 0; k < bytes; k += 64) __builtin_prefetch(reinterpret_cast<const char*>(row) + k);
}

template <class T>
void gather_rows(const GatherArgs<T>& args, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) {
    const std::uint32_t datum = args.rows(i);
    const T* data = args.data.row(datum);
    if (i + 1 < end) prefetch(args.data.row(args.rows(i + 1)), args.x.cols);
    float* x = args.x.row(i);
    switch (args.binarize) {
      case Binarize::kNone:
        intensity_row(data, args.x.cols, args.divisor, x);
        break;
      case Binarize::kThreshold:
        threshold_row(data, args.x.cols, args.divisor, x);
        break;
      case Binarize::kDynamic:
        draw_row(args.noise, datum, data, args.x.cols, args.divisor, x);
        break;
    }
  }
}

template <class T>
void gather_all(const CpuExec& exec, GatherArgs<T> args) {
  check(args);
  args.noise = args.noise.now();
  exec.parallel_for(args.x.rows, 1 + kGrain / (args.x.cols + 1),
                    [&](std::int64_t begin, std::int64_t end) { gather_rows(args, begin, end); });
}

}  // namespace

void gather(const CpuExec& exec, const GatherArgs<std::uint8_t>& args) { gather_all(exec, args); }
void gather(const CpuExec& exec, const GatherArgs<float>& args) { gather_all(exec, args); }

}  // namespace felbo
