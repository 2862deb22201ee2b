#include <algorithm>

#include "kernels/gather/gather.h"
#include "kernels/gather/gather_check.h"
#include "kernels/gather/gather_math.h"
#include "kernels/gather/gather_words.h"

namespace felbo {
namespace {

constexpr std::int64_t kChunk = 16;   // floats of a cache line and of the widest vector
constexpr std::int64_t kPiece = 128;  // pixels made at a time: few, so that draws overlap with the next words
constexpr std::int64_t kAhead = 512;  // pixels between a store and the line that is asked for meanwhile
constexpr std::int64_t kGrain = 8192;  // pixels that are worth a thread
static_assert(kPiece % (4 * gather_words::kBlocksAtOnce) == 0 &&
              4 * gather_words::kBlocksAtOnce % kChunk == 0);

constexpr std::int64_t whole_chunks(std::int64_t n) { return (n + kChunk - 1) / kChunk * kChunk; }

/// n <= kPiece data as floats that can be read up to the next whole chunk; in `memory`, unless they are so
/// already.
const float* floats_of(const std::uint8_t* data, std::int64_t n, float* __restrict memory) {
  for (std::int64_t j = 0; j < n; ++j) memory[j] = static_cast<float>(data[j]);
  return memory;
}
const float* floats_of(const float* data, std::int64_t n, float* memory) {
  if (n % kChunk == 0) return data;
  std::copy_n(data, n, memory);
  return memory;
}

/// x[j] = pixel(data[j] / divisor, words[j]) for whole chunks.
template <Binarize kBinarize>
void make_pixels(const float* __restrict data, const std::uint32_t* __restrict words, std::int64_t n,
                 float divisor, float* __restrict x) {
  for (std::int64_t j = 0; j < n / kChunk * kChunk; ++j) {
    const float v = gather_math::intensity(data[j], divisor);
    if (kBinarize == Binarize::kNone) x[j] = v;
    if (kBinarize == Binarize::kThreshold) x[j] = gather_math::threshold(v);
    if (kBinarize == Binarize::kDynamic) x[j] = gather_math::draw(v, words[j]);
  }
}

/// Asks for the start of a row that is wanted soon: the processor cannot guess rows in a shuffled order.
template <class T>
void prefetch(const T* row, std::int64_t n) {
  const std::int64_t bytes = std::min<std::int64_t>(n * static_cast<std::int64_t>(sizeof(T)), 4096);
  for (std::int64_t k = 0; k < bytes; k += 64) __builtin_prefetch(reinterpret_cast<const char*>(row) + k);
}

/// Asks for lines that are written soon, beyond the end of x too: a store that waits for its line holds up
/// the next ones, and the processor by itself looks ahead of stores less than of loads.
void prefetch_for_write(const float* x, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += kChunk) __builtin_prefetch(x + j, 1);
}

/// Row i of the batch, in pieces. A piece that is not made of whole chunks takes its last one to the end in
/// memory of its own: single draws would be branches that no processor can predict.
template <Binarize kBinarize, class T>
void gather_row(const GatherArgs<T>& args, std::int64_t i) {
  alignas(64) std::uint32_t words[kPiece];
  alignas(64) float from[kPiece] = {}, last[kPiece];
  const std::uint32_t datum = args.rows(i);
  const T* data = args.data.row(datum);
  float* x = args.x.row(i);
  for (std::int64_t begin = 0; begin < args.x.cols; begin += kPiece) {
    const std::int64_t n = std::min(kPiece, args.x.cols - begin);
    prefetch_for_write(x + begin + kAhead, n);
    if (kBinarize == Binarize::kDynamic) {
      gather_words::fill(args.noise, datum, static_cast<std::uint32_t>(begin / 4),
                         static_cast<int>((n + 3) / 4), words);
    }
    float* to = n % kChunk == 0 ? x + begin : last;
    make_pixels<kBinarize>(floats_of(data + begin, n, from), words, whole_chunks(n), args.divisor, to);
    if (to == last) std::copy_n(last, n, x + begin);
  }
  if (!args.rounded.empty()) round_to_bfloat16(x, args.x.cols, args.rounded.row(i));
}

template <Binarize kBinarize, class T>
void gather_rows(const CpuExec& exec, const GatherArgs<T>& args) {
  exec.parallel_for(args.x.rows, 1 + kGrain / (args.x.cols + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (i + 1 < end) prefetch(args.data.row(args.rows(i + 1)), args.x.cols);
      gather_row<kBinarize>(args, i);
    }
  });
}

template <class T>
void gather_all(const CpuExec& exec, GatherArgs<T> args) {
  check(args);
  args.noise = args.noise.now();
  switch (args.binarize) {
    case Binarize::kNone:
      return gather_rows<Binarize::kNone>(exec, args);
    case Binarize::kThreshold:
      return gather_rows<Binarize::kThreshold>(exec, args);
    case Binarize::kDynamic:
      return gather_rows<Binarize::kDynamic>(exec, args);
  }
}

}  // namespace

void gather(const CpuExec& exec, const GatherArgs<std::uint8_t>& args) { gather_all(exec, args); }
void gather(const CpuExec& exec, const GatherArgs<float>& args) { gather_all(exec, args); }

}  // namespace felbo
