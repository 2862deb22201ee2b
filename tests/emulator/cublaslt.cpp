// cuBLASLt of the emulated machine. It computes in double what descriptors say, and refuses what cuBLASLt is
// documented to refuse, or what NVIDIA's own tests of it (nvmath-python, test_epilog.py) skip as unsupported.
// Where documents are silent it does the worst that a user may meet: tf32 operands lose their low bits for
// every use, gelu's tanh has an error of 2^-11 (tanh.approx.f32 of the PTX manual), relu makes 0 of NaN and
// counts 0 as positive in its mask, the workspace is overwritten, and an algorithm serves only the problem
// and the alignments that it was chosen for.
#include "cublasLt.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numbers>
#include <vector>

#include "host/exec/cublas_lt.h"
#include "tests/emulator/emulator.h"

struct cublasLtContext {};

struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cublasOperation_t op_a = CUBLAS_OP_N, op_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  void* aux = nullptr;
  std::int64_t aux_ld = 0;
  std::int32_t bias_type = -1, aux_type = -1;  // that of D unless set
};
struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType_t type;
  std::int64_t rows, cols, ld;
};
struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
  std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::uint32_t align_a = 256, align_b = 256, align_c = 256, align_d = 256;
};

namespace felbo::emulator {
namespace {

using Desc = cublasLtMatmulDescOpaque_t;
using Layout = cublasLtMatrixLayoutOpaque_t;

std::int64_t live_objects = 0;

template <class T, class... Args>
cublasStatus_t create(T** object, Args... args) {
  if (object == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *object = new T{args...};
  ++live_objects;
  return CUBLAS_STATUS_SUCCESS;
}
template <class T>
cublasStatus_t destroy(T* object) {
  if (object == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  delete object;
  --live_objects;
  return CUBLAS_STATUS_SUCCESS;
}
template <class T>
cublasStatus_t set(T& member, const void* value, std::size_t bytes) {
  if (value == nullptr || bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&member, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

// --- What an epilogue is made of

bool has_bias(const Desc& desc) { return (desc.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0; }
bool has_relu(const Desc& desc) { return (desc.epilogue & CUBLASLT_EPILOGUE_RELU) != 0; }
bool has_gelu(const Desc& desc) { return (desc.epilogue & CUBLASLT_EPILOGUE_GELU) != 0; }
bool has_aux(const Desc& desc) { return (desc.epilogue & 128) != 0; }
bool has_relu_gradient(const Desc& desc) { return (desc.epilogue & 8) != 0; }
bool has_gelu_gradient(const Desc& desc) { return (desc.epilogue & 64) != 0; }
bool has_output_sum(const Desc& desc) { return (desc.epilogue & 16) != 0; }
bool has_input_sum(const Desc& desc) {
  return desc.epilogue == CUBLASLT_EPILOGUE_BGRADA || desc.epilogue == CUBLASLT_EPILOGUE_BGRADB;
}
bool is_known(cublasLtEpilogue_t epilogue) {
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_RELU_AUX:
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DRELU:
    case CUBLASLT_EPILOGUE_DRELU_BGRAD:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
    case CUBLASLT_EPILOGUE_DGELU_BGRAD:
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
      return true;
  }
  return false;
}

// --- What is refused

struct Problem {
  Desc desc;
  Layout a, b, d;
  std::int64_t m() const { return d.rows; }
  std::int64_t n() const { return d.cols; }
  std::int64_t k() const { return desc.op_a == CUBLAS_OP_N ? a.cols : a.rows; }
};

bool fits(const Layout& layout, cublasOperation_t op, std::int64_t rows, std::int64_t cols) {
  if (op == CUBLAS_OP_T) std::swap(rows, cols);
  return layout.rows == rows && layout.cols == cols && rows > 0 && cols > 0 && layout.ld >= rows;
}

/// The lines of cuBLASLt's table of types that have these two: operands and result alike, or a float result
/// of bfloat16; tf32 is of floats. A bias has the type of the result; so has what gelu keeps.
bool has_types(const Problem& p, const Layout& c) {
  const cudaDataType_t operands = p.a.type, result = p.d.type;
  const bool listed = operands == result || (operands == CUDA_R_16BF && result == CUDA_R_32F);
  const auto is_of_result = [&](std::int32_t type) { return type == -1 || type == result; };
  return listed && p.b.type == operands && c.type == result && is_of_result(p.desc.bias_type) &&
         is_of_result(p.desc.aux_type) &&
         (p.desc.compute != CUBLAS_COMPUTE_32F_FAST_TF32 || operands == CUDA_R_32F);
}

cublasStatus_t judge(const Problem& p, const Layout& c) {
  const Desc& desc = p.desc;
  if (!has_types(p, c)) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!is_known(desc.epilogue) || !fits(p.a, desc.op_a, p.m(), p.k()) ||
      !fits(p.b, desc.op_b, p.k(), p.n()) || !fits(p.d, CUBLAS_OP_N, p.m(), p.n()) ||
      !fits(c, CUBLAS_OP_N, p.m(), p.n()))
    return CUBLAS_STATUS_INVALID_VALUE;
  const std::int64_t multiple = has_relu(desc) || has_relu_gradient(desc) ? 128 : 8;
  if (has_aux(desc) && (desc.aux_ld % multiple != 0 || desc.aux_ld < p.m()))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (desc.epilogue == CUBLASLT_EPILOGUE_BGRADA && desc.op_a != CUBLAS_OP_N)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (desc.epilogue == CUBLASLT_EPILOGUE_BGRADB && desc.op_b != CUBLAS_OP_T)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if ((has_relu_gradient(desc) || has_gelu_gradient(desc)) && p.k() == 1) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (machine().refuse_epilogues && desc.epilogue != CUBLASLT_EPILOGUE_DEFAULT)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}

// --- An algorithm: what it was chosen for

constexpr std::uint32_t kWidestAccess = 16;
constexpr std::uint64_t kWorkspace = 1 << 16;

struct Algorithm {
  std::uint64_t problem;
  std::uint64_t workspace;
  std::uint32_t align_a, align_b, align_d, align_bias, align_aux;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

std::uint64_t fingerprint(const Problem& p) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::int64_t part :
       {std::int64_t{p.desc.compute}, std::int64_t{p.desc.op_a}, std::int64_t{p.desc.op_b},
        std::int64_t{p.desc.epilogue}, std::int64_t{p.a.type}, std::int64_t{p.d.type}, p.desc.aux_ld, p.m(),
        p.n(), p.k(), p.a.ld, p.b.ld, p.d.ld})
    hash = (hash ^ static_cast<std::uint64_t>(part)) * 0x100000001b3u;
  return hash;
}
bool aligned(const void* p, std::uint32_t bytes) { return reinterpret_cast<std::uintptr_t>(p) % bytes == 0; }
std::uint32_t alignment_of(const void* p) {
  std::uint32_t bytes = kWidestAccess;
  while (!aligned(p, bytes)) bytes /= 2;
  return bytes;
}

bool serves(const Algorithm& algorithm, const Problem& p, const void* a, const void* b, const void* d) {
  return algorithm.problem == fingerprint(p) && aligned(a, algorithm.align_a) &&
         aligned(b, algorithm.align_b) && aligned(d, algorithm.align_d) &&
         aligned(p.desc.bias, algorithm.align_bias) && aligned(p.desc.aux, algorithm.align_aux);
}

// --- The work

float to_tf32(float x) {
  if (!std::isfinite(x)) return x;
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu;  // to nearest, ties to even
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}

float from_bfloat16(std::uint16_t x) {
  const std::uint32_t bits = std::uint32_t{x} << 16;
  float value = 0.0f;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
/// To nearest, ties to even.
std::uint16_t to_bfloat16(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return 0x7fff;
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/// Element `at` of an array of that type.
float get(const void* array, std::int64_t at, cudaDataType_t type) {
  return type == CUDA_R_16BF ? from_bfloat16(static_cast<const std::uint16_t*>(array)[at])
                             : static_cast<const float*>(array)[at];
}
void put(void* array, std::int64_t at, cudaDataType_t type, float value) {
  if (type == CUDA_R_16BF) {
    static_cast<std::uint16_t*>(array)[at] = to_bfloat16(value);
  } else {
    static_cast<float*>(array)[at] = value;
  }
}

/// op(X) with its columns one after another.
std::vector<double> operand(const Desc& desc, const void* x, const Layout& layout, cublasOperation_t op) {
  std::vector<double> out;
  const bool transposed = op == CUBLAS_OP_T;
  const std::int64_t rows = transposed ? layout.cols : layout.rows;
  const std::int64_t cols = transposed ? layout.rows : layout.cols;
  out.reserve(static_cast<std::size_t>(rows * cols));
  for (std::int64_t j = 0; j < cols; ++j) {
    for (std::int64_t i = 0; i < rows; ++i) {
      const float value = get(x, transposed ? j + i * layout.ld : i + j * layout.ld, layout.type);
      out.push_back(desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? to_tf32(value) : value);
    }
  }
  return out;
}

double tanh_of_11_bits(double x) {
  int exponent = 0;
  const double mantissa = std::frexp(std::tanh(x), &exponent);
  return std::ldexp(std::nearbyint(mantissa * 2048) / 2048, exponent);
}
const double kRootTwoOverPi = std::sqrt(2 / std::numbers::pi);
double gelu(double x) { return x / 2 * (1 + tanh_of_11_bits(kRootTwoOverPi * (x + 0.044715 * x * x * x))); }
double gelu_derivative(double x) {
  const double t = tanh_of_11_bits(kRootTwoOverPi * (x + 0.044715 * x * x * x));
  return (1 + t) / 2 + x / 2 * (1 - t * t) * kRootTwoOverPi * (1 + 3 * 0.044715 * x * x);
}

bool mask_bit(const Desc& desc, std::int64_t at) {
  return (static_cast<const unsigned char*>(desc.aux)[at / 8] >> at % 8 & 1) != 0;
}
void set_mask_bit(const Desc& desc, std::int64_t at, bool value) {
  auto& byte = static_cast<unsigned char*>(desc.aux)[at / 8];
  const int bit = 1 << at % 8;
  byte = static_cast<unsigned char>(value ? byte | bit : byte & ~bit);
}

/// One element after the product, whose result is of `type`.
float epilogue(const Desc& desc, cudaDataType_t type, std::int64_t i, std::int64_t j, float value) {
  const std::int64_t at = j * desc.aux_ld + i;
  if (has_bias(desc)) value += get(desc.bias, i, type);
  if (has_relu_gradient(desc)) return mask_bit(desc, at) ? value : 0.0f;
  if (has_gelu_gradient(desc)) return static_cast<float>(value * gelu_derivative(get(desc.aux, at, type)));
  if (has_relu(desc)) {
    if (has_aux(desc)) set_mask_bit(desc, at, value >= 0.0f);
    return value > 0.0f ? value : 0.0f;
  }
  if (has_gelu(desc)) {
    if (has_aux(desc)) put(desc.aux, at, type, value);
    return static_cast<float>(gelu(value));
  }
  return value;
}

void multiply(const Problem& p, double alpha, const void* a_data, const void* b_data, double beta,
              const void* c_data, std::int64_t ldc, void* d_data) {
  const std::int64_t m = p.m(), n = p.n(), k = p.k();
  const std::vector<double> a = operand(p.desc, a_data, p.a, p.desc.op_a);
  const std::vector<double> b = operand(p.desc, b_data, p.b, p.desc.op_b);
  std::vector<double> output_sum(static_cast<std::size_t>(m));
  for (std::int64_t j = 0; j < n; ++j) {
    std::vector<double> column(static_cast<std::size_t>(m));
    for (std::int64_t q = 0; q < k; ++q) {
      const double factor = b[j * k + q];
      for (std::int64_t i = 0; i < m; ++i) column[i] += a[q * m + i] * factor;
    }
    for (std::int64_t i = 0; i < m; ++i) {
      double value = alpha * column[i];
      if (beta != 0.0) value += beta * static_cast<double>(get(c_data, j * ldc + i, p.d.type));
      const float d = epilogue(p.desc, p.d.type, i, j, static_cast<float>(value));
      put(d_data, j * p.d.ld + i, p.d.type, d);
      output_sum[i] += static_cast<double>(d);
    }
  }
  const auto put_bias = [&](std::int64_t i, double sum) {
    put(p.desc.bias, i, p.d.type, static_cast<float>(sum));
  };
  for (std::int64_t i = 0; has_output_sum(p.desc) && i < m; ++i) put_bias(i, output_sum[i]);
  if (has_input_sum(p.desc)) {
    const bool of_a = p.desc.epilogue == CUBLASLT_EPILOGUE_BGRADA;
    for (std::int64_t i = 0; i < (of_a ? m : n); ++i) {
      double sum = 0;
      for (std::int64_t q = 0; q < k; ++q) sum += of_a ? a[q * m + i] : b[i * k + q];
      put_bias(i, sum);
    }
  }
}

}  // namespace

std::int64_t live_cublas_objects() { return live_objects; }

}  // namespace felbo::emulator

using felbo::emulator::create;
using felbo::emulator::destroy;
using felbo::emulator::set;

std::size_t cublasLtGetVersion() { return 120304; }
const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown status";
}
const char* cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

std::string felbo::cublas_lt_failure() { return felbo::emulator::machine().cublas_failure; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  const auto failure = static_cast<cublasStatus_t>(felbo::emulator::machine().cublas_error);
  return failure != CUBLAS_STATUS_SUCCESS ? failure : create(handle);
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return destroy(handle); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t) {
  return create(desc, compute);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return destroy(desc); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute, const void* value,
                                              std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return set(desc->op_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return set(desc->op_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return set(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return set(desc->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return set(desc->aux, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return set(desc->aux_ld, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
      return set(desc->bias_type, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
      return set(desc->aux_type, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                          std::uint64_t rows, std::uint64_t cols, std::int64_t ld) {
  return create(layout, type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(cols), ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy(layout); }

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return create(preference);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return set(preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return set(preference->reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return set(preference->align_a, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return set(preference->align_b, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return set(preference->align_c, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return set(preference->align_d, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int* returned) {
  using namespace felbo::emulator;
  if (returned != nullptr) *returned = 0;
  for (const void* p :
       std::initializer_list<const void*>{handle, desc, a, b, c, d, preference, results, returned})
    if (p == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (requested < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const Problem problem{*desc, *a, *b, *d};
  const cublasStatus_t status = judge(problem, *c);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  const Algorithm algorithm{fingerprint(problem),
                            std::min(preference->workspace, kWorkspace),
                            std::min(preference->align_a, kWidestAccess),
                            std::min(preference->align_b, kWidestAccess),
                            std::min({preference->align_c, preference->align_d, kWidestAccess}),
                            alignment_of(desc->bias),
                            alignment_of(desc->aux)};
  results[0] = {};
  std::memcpy(&results[0].algo, &algorithm, sizeof algorithm);
  results[0].workspaceSize = algorithm.workspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *returned = 1;
  ++machine().heuristics;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a_data, cublasLtMatrixLayout_t a, const void* b_data,
                              cublasLtMatrixLayout_t b, const void* beta, const void* c_data,
                              cublasLtMatrixLayout_t c, void* d_data, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, std::size_t workspace_bytes,
                              cudaStream_t stream) {
  using namespace felbo::emulator;
  for (const void* p : std::initializer_list<const void*>{handle, desc, alpha, a_data, a, b_data, b, beta,
                                                          c_data, c, d_data, d, algo})
    if (p == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const Problem problem{*desc, *a, *b, *d};
  const cublasStatus_t status = judge(problem, *c);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  Algorithm algorithm;
  std::memcpy(&algorithm, algo, sizeof algorithm);
  const bool needs_bias = has_bias(*desc) || has_output_sum(*desc) || has_input_sum(*desc);
  if (!serves(algorithm, problem, a_data, b_data, d_data) || (needs_bias && desc->bias == nullptr) ||
      (has_aux(*desc) && desc->aux == nullptr) || workspace_bytes < algorithm.workspace ||
      (algorithm.workspace > 0 && (workspace == nullptr || !aligned(workspace, 256))))
    return CUBLAS_STATUS_INVALID_VALUE;
  const double by = *static_cast<const float*>(alpha), add = *static_cast<const float*>(beta);
  if (add != 0.0 && c->ld != d->ld && c_data == d_data) return CUBLAS_STATUS_INVALID_VALUE;
  enqueue_counted(stream, [=, ldc = c->ld, used = algorithm.workspace] {
    if (used > 0) std::memset(workspace, 0xff, used);
    multiply(problem, by, a_data, b_data, add, c_data, ldc, d_data);
  });
  return CUBLAS_STATUS_SUCCESS;
}
