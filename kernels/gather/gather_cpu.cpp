#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdint>
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
    kPiece + 32;                           // what the last piece of a row takes in place of a small one
constexpr std::int64_t kAhead = 512;       // pixels between a store and the line that is asked for meanwhile
constexpr std::int64_t kReadAhead = 2400;  // pixels between a row and the one that is asked for meanwhile
constexpr std::int64_t kGrain = 8192;      // pixels that are worth a thread
constexpr std::int64_t kBeyondCaches = 16 << 20;  // elements of x that no cache keeps until they are read
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

/// The ways to data / divisor. A division takes as long as memory takes to bring the element.
struct Division {
  float divisor;
  float operator()(float data) const { return gather_math::intensity(data, divisor); }
};
struct DivisionByOne {
  float operator()(float data) const { return data; }
};

/// f(the cheapest of them for T and the divisor).
template <class T, class F>
void with_intensity(float divisor, const F& f) {
  using gather_math::ByteIntensity;
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    if (divisor >= ByteIntensity::kSmallest && divisor <= ByteIntensity::kLargest)
      return f(ByteIntensity::of(divisor));
  } else {
    if (divisor == 1.0f) return f(DivisionByOne{});
  }
  f(Division{divisor});
}

/// x[j] = pixel(intensity(data[j]), words[j]) for whole chunks.
template <Binarize kBinarize, class T, class Intensity>
void make_pixels(const T* __restrict data, const std::uint32_t* __restrict words, std::int64_t n,
                 const Intensity& intensity, float* __restrict x) {
  if constexpr (kBinarize == Binarize::kDynamic && std::is_same_v<Intensity, gather_math::ByteIntensity>) {
    if (intensity.divisor == gather_math::kByteDivisor) return draw_bytes(data, words, n, x);
  }
  for (std::int64_t j = 0; j < n / kChunk * kChunk; ++j) {
    const float v = intensity(static_cast<float>(data[j]));
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

/// Tries to make pixels and store them past the caches; false where that takes a detour by memory.
template <Binarize kBinarize, class T, class Intensity>
bool stream_pixels(const T*, std::int64_t, const Intensity&, float*) {
  return false;
}
#if defined(__AVX512F__)
bool starts_a_line(const float* x) { return reinterpret_cast<std::uintptr_t>(x) % 64 == 0; }

/// make_pixels() of bytes, by hand: compilers know no such store, and the detour costs up to a tenth more.
template <Binarize kBinarize>
requires(kBinarize != Binarize::kDynamic) bool stream_pixels(const std::uint8_t* __restrict data,
                                                             std::int64_t n,
                                                             const gather_math::ByteIntensity& intensity,
                                                             float* __restrict x) {
  if (n % kChunk != 0 || !starts_a_line(x)) return false;
  const __m512 reciprocal = _mm512_set1_ps(intensity.reciprocal), divisor = _mm512_set1_ps(intensity.divisor);
  const __m512 half = _mm512_set1_ps(0.5f * intensity.divisor), one = _mm512_set1_ps(1.0f);
  for (std::int64_t j = 0; j < n; j += kChunk) {
    __m128i bytes;
    std::memcpy(&bytes, data + j, sizeof bytes);
    const __m512 byte = _mm512_maskz_cvtepi32_ps(0xffff, _mm512_maskz_cvtepu8_epi32(0xffff, bytes));
    __m512 v;
    if (kBinarize == Binarize::kThreshold) {
      // No divisor above 2 byte is near enough for byte / divisor to be rounded to 1/2.
      v = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(byte, half, _CMP_GE_OQ), one);
    } else {
      const __m512 quotient = _mm512_mul_ps(byte, reciprocal);
      v = _mm512_fmadd_ps(_mm512_fnmadd_ps(quotient, divisor, byte), reciprocal, quotient);
    }
    _mm512_stream_ps(x + j, v);
  }
  return true;
}
#endif

/// x[j] = from[j], past the caches where whole lines allow it: other stores read the line they write to.
void store_past_caches(const float* from, std::int64_t n, float* x) {
  std::int64_t j = 0;
#if defined(__AVX512F__)
  if (starts_a_line(x)) {
    for (; j + kChunk <= n; j += kChunk) _mm512_stream_ps(x + j, _mm512_load_ps(from + j));
  }
#endif
  std::copy_n(from + j, n - j, x + j);
}

/// Before other threads may read what went past the caches.
void finish_stores() {
#if defined(__AVX512F__)
  _mm_sfence();
#endif
}

/// Row i of the batch, in pieces, and a piece of `next`, a later row of data, asked for with each. A piece
/// that is not made of whole chunks takes its last one to the end in memory of its own: single draws would be
/// branches that no processor can predict.
template <Binarize kBinarize, class T, class Intensity>
void gather_row(const GatherArgs<T>& args, const Intensity& intensity, std::int64_t place, std::int64_t i,
                const T* next, bool past_caches) {
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
    if (!past_caches) prefetch_for_write(x + begin + kAhead, n / 2);
    if (kBinarize == Binarize::kDynamic) {
      gather_words::fill(args.noise, datum, static_cast<std::uint32_t>(begin / 4),
                         static_cast<int>((n + 3) / 4), words);
    }
    // The other half of the lines: all at once would take every slot that the processor has for such
    // requests.
    if (!past_caches) prefetch_for_write(x + begin + kAhead + n / 2, n - n / 2);
    if (past_caches && stream_pixels<kBinarize>(data + begin, n, intensity, x + begin)) continue;
    float* to = n % kChunk == 0 && !past_caches ? x + begin : last;
    const T* from = whole(data + begin, n, memory);
    make_pixels<kBinarize>(from, words, whole_chunks(n), intensity, to);
    if (past_caches) {
      store_past_caches(last, n, x + begin);
    } else if (to == last) {
      std::copy_n(last, n, x + begin);
    }
  }
  if (!args.rounded.empty()) round_to_bfloat16(x, args.x.cols, args.rounded.row(i));
}

template <Binarize kBinarize, class T>
void gather_rows(const CpuExec& exec, const GatherArgs<T>& args) {
  const std::int64_t place = args.place.get();
  // The copy in bfloat16 is made of x, read again.
  const bool past_caches = args.x.rows * args.x.cols > kBeyondCaches && args.rounded.empty();
  with_intensity<T>(args.divisor, [&](const auto& intensity) {
    exec.parallel_for(args.x.rows, 1 + kGrain / (args.x.cols + 1), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t next = std::min(i + 1 + kReadAhead / (args.x.cols + 1), end - 1);
        gather_row<kBinarize>(args, intensity, place, i,
                              args.data.row(source_row(place, next, args.rows(next))), past_caches);
      }
      if (past_caches) finish_stores();
    });
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
