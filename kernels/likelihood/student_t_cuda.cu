#include "kernels/likelihood/unit.cuh"

namespace felbo {

FELBO_INSTANTIATE_UNIT_CUDA(StudentT);

}  // namespace felbo
