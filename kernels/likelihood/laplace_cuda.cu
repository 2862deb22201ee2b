#include "kernels/likelihood/unit.cuh"

namespace felbo {

FELBO_INSTANTIATE_UNIT_CUDA(Laplace);

}  // namespace felbo
