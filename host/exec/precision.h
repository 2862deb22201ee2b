// In which precision a GPU multiplies matrices.
#pragma once

#include <string_view>

namespace felbo {

/// kFp32: float operands. kTf32: operands rounded to 10 bits after the leading one, on tensor cores; sums,
/// results and everything but products stay float. kBf16: what passes between products is stored in bfloat16,
/// 7 bits after the leading one; sums, parameters and their gradients stay float, and so do products of
/// floats.
enum class Precision { kFp32, kTf32, kBf16 };

/// "fp32", "tf32" or "bf16"; throws std::invalid_argument that lists the names.
Precision precision_from_name(std::string_view name);
std::string_view name_of(Precision precision);

}  // namespace felbo
