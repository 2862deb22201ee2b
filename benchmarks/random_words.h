// How fast Philox can be made: the roof of ops whose work is to make noise.
#pragma once

#include "host/exec/exec.h"
#include "kernels/common/noise_stream.h"
#include "kernels/common/view.h"

namespace felbo::bench {

struct RandomWordsArgs {
  NoiseStream stream;
  int blocks = 1;              // of four words each, a datum
  View<std::uint32_t, 1> out;  // (N) of each datum the exclusive or of its words
};

/// Makes 4 * blocks words of each of the data 0 ... N - 1 (sample 0) by the code that the ops make theirs by,
/// and keeps next to nothing of them.
void random_words(const CpuExec& exec, const RandomWordsArgs& args);
void random_words(const CudaExec& exec, const RandomWordsArgs& args);

}  // namespace felbo::bench
