// Products by cuBLASLt with as much in their epilogues as it offers; the rest by own kernels. Row-major
// matrices are column-major transposes: y^T = W^T x^T, grad_W^T = grad_y^T x, grad_x^T = W grad_y^T.
#include <type_traits>

#include "host/exec/cublas_lt.h"
#include "kernels/common/cuda/launch.h"
#include "kernels/dense/dense.cuh"
#include "kernels/dense/dense_check.h"

namespace felbo {
namespace {

template <class T>
constexpr bool kIsBFloat16 = std::is_same_v<T, BFloat16>;
template <class T>
constexpr cudaDataType_t kDataType = kIsBFloat16<T> ? CUDA_R_16BF : CUDA_R_32F;

/// Whether cuBLASLt's epilogues stand for this activation after a product of T. Its gelu takes an approximate
/// tanh, with errors like tf32's rounding (2^-11): too large beside float products, below bfloat16's
/// rounding. It has no tanh, softplus or sigmoid.
template <class T>
bool is_fused(const CudaExec& exec, Activation activation) {
  return activation == Activation::kRelu ||
         (activation == Activation::kGelu && (kIsBFloat16<T> || exec.precision() == Precision::kTf32));
}

template <class T>
cublasLtEpilogue_t forward_epilogue(const CudaExec& exec, Activation activation, bool with_aux) {
  if (!is_fused<T>(exec, activation)) return CUBLASLT_EPILOGUE_BIAS;
  if (activation == Activation::kRelu)
    return with_aux ? CUBLASLT_EPILOGUE_RELU_AUX_BIAS : CUBLASLT_EPILOGUE_RELU_BIAS;
  return with_aux ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_BIAS;
}
template <class T>
cublasLtEpilogue_t backward_epilogue(const CudaExec& exec, Activation below) {
  if (!is_fused<T>(exec, below)) return CUBLASLT_EPILOGUE_DEFAULT;
  return below == Activation::kRelu ? CUBLASLT_EPILOGUE_DRELU : CUBLASLT_EPILOGUE_DGELU;
}
std::int64_t aux_stride(Activation activation, std::int64_t cols) {
  return activation == Activation::kRelu ? mask_stride(cols) : pre_stride(cols);
}

/// The same product with nothing but the product done.
void enqueue_plain(const CudaExec& exec, Product product) {
  product.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  product.bias = nullptr;
  product.aux = nullptr;
  product.aux_ld = 0;
  exec.cublas_lt().enqueue(exec, product);
}

template <class Kernel, class... Args>
void launch_octets(const CudaExec& exec, Kernel kernel, std::int64_t rows, std::int64_t cols,
                   const Args&... args) {
  launch(exec, kernel, blocks_for(octets(rows, cols), kOctetBlock), kOctetBlock, 0, args...);
}

template <class T, class Y>
void activate(const CudaExec& exec, const DenseArgsOf<T, Y>& a, View<const Y, 1> bias) {
  activation::dispatch(a.activation, [&]<Activation A>() {
    launch_octets(exec, dense_activate<A, Y>, a.y.rows, a.y.cols, a.y, bias, a.aux);
  });
}

template <class T>
void grad_weight(const CudaExec& exec, const DenseGradArgsOf<T>& a) {
  const Product product{.m = a.grad_y.cols,
                        .n = a.x.cols,
                        .k = a.x.rows,
                        .a = a.grad_y.data,
                        .lda = a.grad_y.stride,
                        .op_a = CUBLAS_OP_N,
                        .b = a.x.data,
                        .ldb = a.x.stride,
                        .op_b = CUBLAS_OP_T,
                        .d = a.grad_weight.data,
                        .ldd = a.grad_weight.stride,
                        .operands = kDataType<T>,
                        .epilogue = CUBLASLT_EPILOGUE_BGRADA,  // the sum over the batch of A's rows
                        .bias = a.grad_bias.data};
  if (exec.cublas_lt().enqueue(exec, product)) return;
  enqueue_plain(exec, product);
  launch(exec, dense_sum_columns<T>, blocks_for(a.grad_y.cols, kSumCols), kSumCols * kSumLanes, 0, a.grad_y,
         a.grad_bias);
}

template <class T>
void grad_x(const CudaExec& exec, const DenseGradArgsOf<T>& a) {
  Product product{.m = a.x.cols,
                  .n = a.x.rows,
                  .k = a.grad_y.cols,
                  .a = a.weight.data,
                  .lda = a.weight.stride,
                  .op_a = CUBLAS_OP_T,
                  .b = a.grad_y.data,
                  .ldb = a.grad_y.stride,
                  .op_b = CUBLAS_OP_N,
                  .d = a.grad_x.data,
                  .ldd = a.grad_x.stride,
                  .operands = kDataType<T>,
                  .result = kDataType<T>,
                  .epilogue = backward_epilogue<T>(exec, a.below)};
  const bool fused = product.epilogue != CUBLASLT_EPILOGUE_DEFAULT;
  if (fused) {
    product.aux = a.x_aux.data;
    product.aux_ld = aux_stride(a.below, a.x.cols);
    if (exec.cublas_lt().enqueue(exec, product)) return;
  }
  enqueue_plain(exec, product);
  activation::dispatch(a.below, [&]<Activation Below>() {
    if constexpr (Below != Activation::kIdentity)
      launch_octets(exec, dense_derive<Below, T>, a.x.rows, a.x.cols, a.x, a.x_aux, a.grad_x);
  });
}

template <class T, class Y>
void forward(const CudaExec& exec, const DenseArgsOf<T, Y>& a) {
  check(exec, a);
  const bool with_aux = !a.aux.empty();
  Product product{.m = a.y.cols,
                  .n = a.x.rows,
                  .k = a.x.cols,
                  .a = a.weight.data,
                  .lda = a.weight.stride,
                  .op_a = CUBLAS_OP_N,
                  .b = a.x.data,
                  .ldb = a.x.stride,
                  .op_b = CUBLAS_OP_N,
                  .d = a.y.data,
                  .ldd = a.y.stride,
                  .operands = kDataType<T>,
                  .result = kDataType<Y>,
                  .epilogue = forward_epilogue<T>(exec, a.activation, with_aux),
                  .bias = a.bias.data};
  const bool fused = is_fused<T>(exec, a.activation);
  if (fused && with_aux) {
    product.aux = a.aux.data;
    product.aux_ld = aux_stride(a.activation, a.y.cols);
  }
  if (!exec.cublas_lt().enqueue(exec, product)) {
    enqueue_plain(exec, product);
    activate(exec, a, a.bias);
  } else if (!fused && a.activation != Activation::kIdentity) {
    activate(exec, a, {});
  }
}

template <class T>
void backward(const CudaExec& exec, const DenseGradArgsOf<T>& a) {
  check(exec, a);
  if (!a.grad_weight.empty()) grad_weight(exec, a);
  if (!a.grad_x.empty()) grad_x(exec, a);
}

}  // namespace

std::int64_t dense_aux_bytes(const CudaExec&, Activation activation, std::int64_t rows, std::int64_t cols,
                             std::int64_t element) {
  if (activation == Activation::kRelu) return rows * mask_stride(cols) / 8;
  if (activation == Activation::kGelu) return rows * pre_stride(cols) * element;
  return 0;
}

void dense(const CudaExec& exec, const DenseArgs& args) { forward(exec, args); }
void dense(const CudaExec& exec, const DenseArgsOf<BFloat16>& args) { forward(exec, args); }
void dense(const CudaExec& exec, const DenseArgsOf<BFloat16, float>& args) { forward(exec, args); }

void dense_backward(const CudaExec& exec, const DenseGradArgs& args) { backward(exec, args); }
void dense_backward(const CudaExec& exec, const DenseGradArgsOf<BFloat16>& args) { backward(exec, args); }

}  // namespace felbo
