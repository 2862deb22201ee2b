#include "benchmarks/random_words.cuh"
#include "kernels/common/cuda/launch.h"

namespace felbo::bench {

void random_words(const CudaExec& exec, const RandomWordsArgs& a) {
  launch(exec, random_words_rows, blocks_for(a.out.size, kRandomWordsBlock), kRandomWordsBlock, 0, a);
}

}  // namespace felbo::bench
