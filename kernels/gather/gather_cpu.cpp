#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/gather/gather.h"
#include "kernels/gather/gather_check.h"
#include "kernels/gather/gather_math.h"
#include "kernels/gather/gather_words.h"

namespace felbo {
namespace {

constexpr std::int64_t kChunk = 16;   // floats of a cache line and of the widest vector
constexpr std::int64_t kPiece = 128;  // pixels made at a time: few, so that draws overlap with the next words
constexpr std::int64_t kLastPiece =
    kPiece + 32;                       // what the last piece of a row takes in place of a small one
constexpr std::int64_t kAhead = 512;   // pixels between a store and the line that is asked for meanwhile
constexpr std::int64_t kGrain = 8192;  // pixels that are worth a thread
static_assert(kLastPiece % (4 * gather_words::kBlocksAtOnce) == 0 &&
              4 * gather_words::kBlocksAtOnce % kChunk == 0);

constexpr std::int64_t whole_chunks(std::int64_t n) { return (n + kChunk - 1) / kChunk * kChunk; }

/// n <= kLastPiece data that can be read up to the next whole chunk; in `memory`, unless they are so already.
template <class T>
const T* whole(const T* data, std::int64_t n, T* memory) {
  if (n % kChunk == 0) return data;
  std::copy_n(data, n, memory);
  return memory;
}

/// x[j] = draw_byte(data[j], words[j]) for whole chunks.
void draw_bytes(const std::uint8_t* __restrict data, const std::uint32_t* __restrict words, std::int64_t n,
                float* __restrict x) {
#if defined(__AVX512F__)
  // By hand: compilers take 64 bytes at a time, and the last 16 one by one.
  typedef std::uint32_t Words __attribute__((vector_size(64)));
  for (std::int64_t j = 0; j < n; j += kChunk) {
    __m128i bytes;
    std::memcpy(&bytes, data + j, sizeof bytes);
    const Words byte = reinterpret_cast<Words>(_mm512_maskz_cvtepu8_epi32(0xffff, bytes));
    Words word;
    std::memcpy(&word, words + j, sizeof word);
    const Words on = reinterpret_cast<Words>((word <= gather_math::byte_bound(byte)) & (byte != 0));
    const Words one = on & 0x3f800000u;  // the bits of 1.0f
    std::memcpy(x + j, &one, sizeof one);
  }
#else
  for (std::int64_t j = 0; j < n; ++j) x[j] = gather_math::draw_byte(data[j], words[j]);
#endif
}

/// x[j] = pixel(data[j] / divisor, words[j]) for whole chunks.
template <Binarize kBinarize, class T>
void make_pixels(const T* __restrict data, const std::uint32_t* __restrict words, std::int64_t n,
                 float divisor, float* __restrict x) {
  if constexpr (kBinarize == Binarize::kDynamic && std::is_same_v<T, std::uint8_t>) {
    if (divisor == gather_math::kByteDivisor) return draw_bytes(data, words, n, x);
  }
  for (std::int64_t j = 0; j < n / kChunk * kChunk; ++j) {
    const float v = gather_math::intensity(static_cast<float>(data[j]), divisor);
    if (kBinarize == Binarize::kNone) x[j] = v;
    if (kBinarize == Binarize::kThreshold) x[j] = gather_math::threshold(v);
    if (kBinarize == Binarize::kDynamic) x[j] = gather_math::draw(v, words[j]);
  }
}

/// Asks for n data that are wanted soon: the processor cannot guess rows in a shuffled order.
template <class T>
void prefetch(const T* data, std::int64_t n) {
  const auto* bytes = reinterpret_cast<const char*>(data);
  for (std::int64_t k = 0; k < n * static_cast<std::int64_t>(sizeof(T)); k += 64) {
    __builtin_prefetch(bytes + k);
  }
}

/// Asks for lines that are written soon, beyond the end of x too: a store that waits for its line holds up
/// the next ones, and the processor by itself looks ahead of stores less than of loads.
void prefetch_for_write(const float* x, std::int64_t n) {
  for (std::int64_t j = 0; j < n; j += kChunk) __builtin_prefetch(x + j, 1);
}

/// Row i of the batch, in pieces, and a piece of row `next` of the data asked for with each. A piece that is
/// not made of whole chunks takes its last one to the end in memory of its own: single draws would be
/// branches that no processor can predict.
template <Binarize kBinarize, class T>
void gather_row(const GatherArgs<T>& args, std::int64_t place, std::int64_t i, const T* next) {
  alignas(64) std::uint32_t words[kLastPiece];
  alignas(64) float last[kLastPiece];
  alignas(64) T memory[kLastPiece] = {};
  const std::uint32_t datum = args.rows(i);
  const T* data = args.data.row(source_row(place, i, datum));
  float* x = args.x.row(i);
  for (std::int64_t begin = 0, n = 0; begin < args.x.cols; begin += n) {
    const std::int64_t left = args.x.cols - begin;
    n = left <= kLastPiece ? left : kPiece;
    prefetch(next + begin, n);
    prefetch_for_write(x + begin + kAhead, n / 2);
    if (kBinarize == Binarize::kDynamic) {
      gather_words::fill(args.noise, datum, static_cast<std::uint32_t>(begin / 4),
                         static_cast<int>((n + 3) / 4), words);
    }
    // The other half of the lines: all at once would take every slot that the processor has for such
    // requests.
    prefetch_for_write(x + begin + kAhead + n / 2, n - n / 2);
    float* to = n % kChunk == 0 ? x + begin : last;
    const T* from = whole(data + begin, n, memory);
    make_pixels<kBinarize>(from, words, whole_chunks(n), args.divisor, to);
    if (to == last) std::copy_n(last, n, x + begin);
  }
  if (!args.rounded.empty()) round_to_bfloat16(x, args.x.cols, args.rounded.row(i));
}

template <Binarize kBinarize, class T>
void gather_rows(const CpuExec& exec, const GatherArgs<T>& args) {
  const std::int64_t place = args.place.get();
  exec.parallel_for(args.x.rows, 1 + kGrain / (args.x.cols + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t next = std::min(i + 1, end - 1);
      gather_row<kBinarize>(args, place, i, args.data.row(source_row(place, next, args.rows(next))));
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
