#include "kernels/likelihood/unit_cpu.h"

namespace felbo {

FELBO_INSTANTIATE_UNIT_CPU(NegativeBinomial);

}  // namespace felbo
