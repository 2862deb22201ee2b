// In which precision a GPU multiplies matrices.
#pragma once

#include <string_view>

namespace felbo {

/// kFp32: float operands. kTf32: operands rounded to 10 bits after the leading one, on tensor cores; sums,
/// results and everything but products stay float.
enum class Precision { kFp32, kTf32 };

/// "fp32" or "tf32"; throws std::invalid_argument that lists the names.
Precision precision_from_name(std::string_view name);
std::string_view name_of(Precision precision);

}  // namespace felbo
