// Random words and normals.
#pragma once

#include <cmath>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "host/check/tolerance.h"
#include "kernels/gather/gather.h"
#include "kernels/noise/noise.h"
#include "kernels/noise/noise_reference.h"

namespace felbo::checks {

inline constexpr std::uint32_t kFirstDatum = 4000000000u, kNoiseSample = 5;
inline constexpr std::int64_t kNoiseRows = 3;
inline NoiseStream normal_stream() { return {kNoiseSeed, 77, Purpose::kLatent}; }

/// What normal_fill writes for `cols` dimensions.
template <class Exec>
Mirror<Exec, float> filled_normals(const Exec& exec, std::int64_t cols) {
  Mirror<Exec, float> out(exec, kNoiseRows, cols, {cols % 3, cols % 2});
  normal_fill(exec, {normal_stream(), kFirstDatum, kNoiseSample, out.matrix()});
  return out;
}

template <class Exec>
void check_normals(const Exec& exec, Parity& parity) {
  for (const std::int64_t cols : kWidths) {
    parity.begin_case(fmt::format("B {} D {}", kNoiseRows, cols));
    Values want, tolerance;
    for (std::uint32_t i = 0; i < kNoiseRows; ++i) {
      for (std::uint32_t d = 0; d < cols; ++d) {
        const ReferenceNormal n = reference_normal(normal_stream(), kFirstDatum + i, kNoiseSample, d);
        want.push_back(n.value);
        tolerance.push_back(n.tolerance);
      }
    }
    filled_normals(exec, cols).judge(parity, "out", want, tolerance);
  }
}

/// Normals are made so that every device gives the bits of kernels/common/normal.h on this host.
template <class Exec>
void check_normal_bits(const Exec& exec, Parity& parity) {
  for (const std::int64_t cols : kWidths) {
    parity.begin_case(fmt::format("B {} D {}", kNoiseRows, cols));
    std::vector<float> want;
    for (std::uint32_t i = 0; i < kNoiseRows; ++i) {
      for (std::uint32_t d = 0; d < cols; ++d) {
        const Words4 words = normal_stream().words(kFirstDatum + i, kNoiseSample, d / 4);
        want.push_back(normals_from_words(words)[static_cast<int>(d % 4)]);
      }
    }
    filled_normals(exec, cols).judge_bits(parity, "out", want);
  }
}

/// Words that this program makes on the host, for shuffles and initial parameters.
template <class Exec>
void check_host_words(const Exec&, Parity& parity) {
  for (const Purpose purpose : {Purpose::kInit, Purpose::kShuffle, Purpose::kSplit}) {
    parity.begin_case(fmt::format("purpose {}", static_cast<int>(purpose)));
    const NoiseStream stream{kNoiseSeed, 4000000001u, purpose};
    for (std::uint32_t i = 0; i < 1000; ++i) {
      const std::uint32_t want =
          reference::word(kNoiseSeed, 4000000001u, static_cast<std::uint32_t>(purpose), ~i, 3 * i, i);
      parity.element("word", 0, i, stream.words(~i, 3 * i, i / 4)[static_cast<int>(i % 4)], want, 0.0);
    }
  }
}

/// Words as ops make them on the device, read from where a drawn pixel turns: u < v is 0 for v = u and 1 for
/// the next float, so both are right only if all 24 bits that a draw uses are.
template <class Exec>
void check_device_words(const Exec& exec, Parity& parity) {
  const NoiseStream noise{kNoiseSeed, 2, Purpose::kBinarize};
  Mirror<Exec, std::uint32_t> rows = row_of<std::uint32_t>(exec, {0});
  for (const std::int64_t cols : kWidths) {
    parity.begin_case(fmt::format("X {}", cols));
    std::vector<float> at, above;
    for (std::uint32_t j = 0; j < cols; ++j) {
      const std::uint32_t word =
          reference::word(kNoiseSeed, 2, static_cast<std::uint32_t>(noise.purpose), 0, 0, j);
      at.push_back(static_cast<float>(word / 256) / 16777216.0f);
      above.push_back(std::nextafter(at.back(), 2.0f));
    }
    for (const bool over : {false, true}) {
      Mirror<Exec, float> data = row_of(exec, over ? above : at), x(exec, 1, cols);
      gather(exec, GatherArgs<float>{.data = data.matrix(),
                                     .rows = rows.vector(),
                                     .binarize = Binarize::kDynamic,
                                     .noise = noise,
                                     .x = x.matrix()});
      x.judge(parity, over ? "pixel above the word" : "pixel at the word",
              Values(static_cast<std::size_t>(cols), over ? 1.0 : 0.0), 0.0);
    }
  }
}

template <class Exec>
void add_noise_checks(std::vector<Check<Exec>>& checks) {
  checks.push_back({"philox/words on the host", check_host_words<Exec>});
  checks.push_back({"philox/words in ops", check_device_words<Exec>});
  checks.push_back({"normal_fill/values", check_normals<Exec>});
  checks.push_back({"normal_fill/bits", check_normal_bits<Exec>});
}

}  // namespace felbo::checks
