#include "host/exec/cublas_lt.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kernels/common/check.h"

namespace felbo {
namespace {

void cublas_check(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  throw std::runtime_error(fmt::format("{}:{}: {} failed: {} ({})", file, line, call,
                                       cublasLtGetStatusString(status), cublasLtGetStatusName(status)));
}
/// Throws std::runtime_error with the place, the call and cuBLASLt's reason unless it returns success.
#define FELBO_CUBLAS_CHECK(call) cublas_check((call), #call, __FILE__, __LINE__)

/// Destroys a descriptor.
template <auto kDestroy>
struct Destroy {
  template <class T>
  void operator()(T* descriptor) const {
    kDestroy(descriptor);
  }
};
template <class Handle, auto kDestroy>
using Descriptor = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<kDestroy>>;
using MatmulDesc = Descriptor<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using MatrixLayout = Descriptor<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Descriptor<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

template <class T>
void set(const MatmulDesc& desc, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  FELBO_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(desc.get(), attribute, &value, sizeof value));
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  FELBO_CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
}

/// Sums are in float. Operands in bfloat16 are what they are; only floats may lose bits.
cublasComputeType_t compute_type(Precision precision, const Product& product) {
  const bool tf32 = precision == Precision::kTf32 && product.operands == CUDA_R_32F;
  return tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}
const char* name_of(cudaDataType_t type) { return type == CUDA_R_16BF ? "bfloat16" : "float"; }

/// The power of two that the address is a multiple of, up to 256, from which on it no longer matters.
std::uint32_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p) | 256u;
  return std::uint32_t{1} << std::countr_zero(address);
}

void set_pointers(const MatmulDesc& desc, const Product& product) {
  if (product.bias != nullptr) set(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, product.bias);
  if (product.aux != nullptr) set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, product.aux);
}

MatmulDesc make_desc(cublasComputeType_t compute, const Product& product) {
  cublasLtMatmulDesc_t raw = nullptr;
  FELBO_CUBLAS_CHECK(cublasLtMatmulDescCreate(&raw, compute, CUDA_R_32F));
  MatmulDesc desc(raw);
  set(desc, CUBLASLT_MATMUL_DESC_TRANSA, product.op_a);
  set(desc, CUBLASLT_MATMUL_DESC_TRANSB, product.op_b);
  set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, product.epilogue);
  // What gelu keeps has the type of D unless asked otherwise.
  if (product.aux != nullptr) set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, product.aux_ld);
  if (product.bias != nullptr) {
    set(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<std::int32_t>(product.result));
  }
  set_pointers(desc, product);
  return desc;
}

/// A matrix whose op is (rows, cols).
MatrixLayout make_layout(cudaDataType_t type, cublasOperation_t op, std::int64_t rows, std::int64_t cols,
                         std::int64_t ld) {
  if (op != CUBLAS_OP_N) std::swap(rows, cols);
  cublasLtMatrixLayout_t raw = nullptr;
  FELBO_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&raw, type, static_cast<std::uint64_t>(rows),
                                                static_cast<std::uint64_t>(cols), ld));
  return MatrixLayout(raw);
}

Preference make_preference(std::uint64_t workspace_bytes) {
  cublasLtMatmulPreference_t raw = nullptr;
  FELBO_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&raw));
  Preference preference(raw);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
  // Parts of a sum go to the workspace and are added in order, or there are no parts: never in the order in
  // which blocks happen to finish.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  return preference;
}

}  // namespace

struct CublasLt::Plan {
  MatmulDesc desc;
  MatrixLayout a, b, d;
  cublasLtMatmulAlgo_t algorithm;
  bool found = false;
};

CublasLt::CublasLt() {
  if (const std::string failure = cublas_lt_failure(); !failure.empty()) throw std::runtime_error(failure);
  FELBO_CUBLAS_CHECK(cublasLtCreate(&handle_));
}

CublasLt::~CublasLt() {
  plans_.clear();
  const cublasStatus_t status = cublasLtDestroy(handle_);
  if (status != CUBLAS_STATUS_SUCCESS)
    spdlog::error("cublasLtDestroy failed: {}", cublasLtGetStatusName(status));
}

CublasLt::Key CublasLt::key_of(const CudaExec& exec, const Product& p) {
  return {compute_type(exec.precision(), p),
          p.operands,
          p.result,
          p.epilogue,
          p.op_a,
          p.op_b,
          p.m,
          p.n,
          p.k,
          p.lda,
          p.ldb,
          p.ldd,
          p.aux_ld,
          alignment_of(p.a),
          alignment_of(p.b),
          alignment_of(p.d),
          alignment_of(p.bias),
          alignment_of(p.aux)};
}

std::unique_ptr<CublasLt::Plan> CublasLt::make_plan(const CudaExec& exec, const Product& p,
                                                    const Key& key) const {
  auto plan = std::make_unique<Plan>(Plan{make_desc(key.compute, p),
                                          make_layout(p.operands, p.op_a, p.m, p.k, p.lda),
                                          make_layout(p.operands, p.op_b, p.k, p.n, p.ldb),
                                          make_layout(p.result, CUBLAS_OP_N, p.m, p.n, p.ldd),
                                          {},
                                          false});
  const Preference preference = make_preference(exec.workspace().size());
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.align_a);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.align_b);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.align_d);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.align_d);
  cublasLtMatmulHeuristicResult_t result{};
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle_, plan->desc.get(), plan->a.get(), plan->b.get(), plan->d.get(),
                                     plan->d.get(), preference.get(), 1, &result, &count);
  if (status != CUBLAS_STATUS_NOT_SUPPORTED) FELBO_CUBLAS_CHECK(status);
  plan->found = status == CUBLAS_STATUS_SUCCESS && count > 0 && result.state == CUBLAS_STATUS_SUCCESS;
  plan->algorithm = result.algo;
  return plan;
}

bool CublasLt::enqueue(const CudaExec& exec, const Product& p) {
  const bool plain = p.epilogue == CUBLASLT_EPILOGUE_DEFAULT;
  if (!fused && !plain) return false;
  const Key key = key_of(exec, p);
  auto found = plans_.find(key);
  if (found == plans_.end()) found = plans_.emplace(key, make_plan(exec, p, key)).first;
  Plan& plan = *found->second;
  if (!plan.found && plain) {
    throw std::runtime_error(fmt::format(
        "cuBLASLt has no algorithm for a product of {} x {} x {} from {} to {} with a workspace of {} "
        "bytes",
        p.m, p.n, p.k, name_of(p.operands), name_of(p.result), exec.workspace().size()));
  }
  if (!plan.found) return false;
  set_pointers(plan.desc, p);
  const float one = 1.0f, zero = 0.0f;
  const cublasStatus_t status = cublasLtMatmul(
      handle_, plan.desc.get(), &one, p.a, plan.a.get(), p.b, plan.b.get(), &zero, p.d, plan.d.get(), p.d,
      plan.d.get(), &plan.algorithm, exec.workspace().data(), exec.workspace().size(), exec.stream());
  // Finding an algorithm is no promise that it runs.
  plan.found = plain || status != CUBLAS_STATUS_NOT_SUPPORTED;
  if (!plan.found) return false;
  FELBO_CUBLAS_CHECK(status);
  return true;
}

}  // namespace felbo
