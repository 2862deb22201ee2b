// Products of matrices by cuBLASLt, for the launchers of ops. It needs CUDA's headers, so other code does not
// include it.
#pragma once

#include <cublasLt.h>

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "host/exec/cuda_exec.h"

namespace felbo {

/// D = op(A) op(B), then the epilogue, with all matrices column-major as cuBLASLt has them: a row-major (r,
/// c) matrix is a column-major (c, r) one with its stride as the leading dimension.
struct Product {
  std::int64_t m, n, k;  // op(A) (m, k), op(B) (k, n), D (m, n)
  const void* a;
  std::int64_t lda;
  cublasOperation_t op_a;
  const void* b;
  std::int64_t ldb;
  cublasOperation_t op_b;
  void* d;
  std::int64_t ldd;
  cudaDataType_t operands = CUDA_R_32F;  // A and B: floats or bfloat16
  cudaDataType_t result = CUDA_R_32F;    // D, bias and what gelu keeps: floats, or bfloat16 if A and B are
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;  // (m); the epilogue reads it, or writes the bias gradient there
  const void* aux = nullptr;   // what an _AUX epilogue writes and DRELU and DGELU read
  std::int64_t aux_ld = 0;     // in elements: bits for relu, elements of D for gelu
};

/// Why cuBLASLt's shared library cannot be used on this machine; empty where it can.
std::string cublas_lt_failure();

/// The cuBLASLt handle of a CudaExec, and a plan for each kind of product it has seen. Not for several
/// threads at once.
class CublasLt {
 public:
  /// Throws std::runtime_error if cuBLASLt cannot start on the current device.
  CublasLt();
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  /// Enqueues the product. The first one of a kind asks cuBLASLt for an algorithm; later ones neither
  /// allocate nor wait, so they can be captured into a graph. Same bits each time on the same device: partial
  /// sums are joined in a fixed order, in the workspace of `exec`. Returns false, with nothing enqueued, if
  /// cuBLASLt has no algorithm with this epilogue; throws std::runtime_error if it has none without one, or
  /// refuses the call.
  bool enqueue(const CudaExec& exec, const Product& product);

  /// false: as if cuBLASLt had no epilogues. Tests and benchmarks compare the two.
  bool fused = true;

 private:
  struct Plan;
  /// All that an algorithm is chosen by. Alignments are in bytes.
  struct Key {
    cublasComputeType_t compute;
    cudaDataType_t operands, result;
    cublasLtEpilogue_t epilogue;
    cublasOperation_t op_a, op_b;
    std::int64_t m, n, k, lda, ldb, ldd, aux_ld;
    std::uint32_t align_a, align_b, align_d, align_bias, align_aux;
    auto operator<=>(const Key&) const = default;
  };
  static Key key_of(const CudaExec& exec, const Product& product);
  std::unique_ptr<Plan> make_plan(const CudaExec& exec, const Product& product, const Key& key) const;

  cublasLtHandle_t handle_ = nullptr;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace felbo
