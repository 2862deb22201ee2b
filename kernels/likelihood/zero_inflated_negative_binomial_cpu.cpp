#include "kernels/likelihood/unit_cpu.h"

namespace felbo {

FELBO_INSTANTIATE_UNIT_CPU(ZeroInflatedNegativeBinomial);

}  // namespace felbo
