// Standard normals by counter: out(i, d) is a function of (seed, step, purpose, datum first_datum + i,
// sample, d) alone. See common/noise_stream.h for the counter and common/normal.h for the transform.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/noise_stream.h"
#include "kernels/common/view.h"

namespace felbo {

struct NormalFillArgs {
  NoiseStream stream;
  std::uint32_t first_datum = 0;
  std::uint32_t sample = 0;
  View<float, 2> out;  // (B, D)
};

/// Fills `out` with independent N(0, 1) draws; row i belongs to datum first_datum + i.
/// Throws std::invalid_argument if the datum or sample indices leave their range.
void normal_fill(const CpuExec& exec, const NormalFillArgs& args);
void normal_fill(const CudaExec& exec, const NormalFillArgs& args);

/// Rows that normal_tile makes at a time.
inline constexpr int kNormalTileRows = 16;

/// Normals of `rows` <= kNormalTileRows names on the caller's thread: out[r * stride + i] is element 4
/// first_block + i of (datum[r], sample[r]), for i in [0, n). Vectorised over the rows, so it is fast for
/// short rows too.
void normal_tile(const NoiseStream& stream, const std::uint32_t* datum, const std::uint32_t* sample, int rows,
                 std::uint32_t first_block, std::int64_t n, float* out, std::int64_t stride);

}  // namespace felbo
