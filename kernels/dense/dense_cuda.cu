// Products by cuBLASLt with as much in their epilogues as it offers; the rest by own kernels. Row-major
// matrices are column-major transposes: y^T = W^T x^T, grad_W^T = grad_y^T x, grad_x^T = W grad_y^T.
#include "host/exec/cublas_lt.h"
#include "kernels/common/cuda/launch.h"
#include "kernels/dense/dense.cuh"
#include "kernels/dense/dense_check.h"

namespace felbo {
namespace {

/// Whether cuBLASLt's epilogues stand for this activation. Its gelu takes an approximate tanh, with errors
/// like tf32's rounding (2^-11): too large beside float products. It has no tanh, softplus or sigmoid.
bool is_fused(const CudaExec& exec, Activation activation) {
  return activation == Activation::kRelu ||
         (activation == Activation::kGelu && exec.precision() == Precision::kTf32);
}

cublasLtEpilogue_t forward_epilogue(const CudaExec& exec, Activation activation, bool with_aux) {
  if (!is_fused(exec, activation)) return CUBLASLT_EPILOGUE_BIAS;
  if (activation == Activation::kRelu)
    return with_aux ? CUBLASLT_EPILOGUE_RELU_AUX_BIAS : CUBLASLT_EPILOGUE_RELU_BIAS;
  return with_aux ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_BIAS;
}
cublasLtEpilogue_t backward_epilogue(const CudaExec& exec, Activation below) {
  if (!is_fused(exec, below)) return CUBLASLT_EPILOGUE_DEFAULT;
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

void activate(const CudaExec& exec, const DenseArgs& a, View<const float, 1> bias) {
  activation::dispatch(a.activation, [&]<Activation A>() {
    launch_octets(exec, dense_activate<A>, a.y.rows, a.y.cols, a.y, bias, a.aux);
  });
}

void grad_weight(const CudaExec& exec, const DenseGradArgs& a) {
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
                        .epilogue = CUBLASLT_EPILOGUE_BGRADA,  // the sum over the batch of A's rows
                        .bias = a.grad_bias.data};
  if (exec.cublas_lt().enqueue(exec, product)) return;
  enqueue_plain(exec, product);
  launch(exec, dense_sum_columns, blocks_for(a.grad_y.cols, kSumCols), kSumCols * kSumLanes, 0, a.grad_y,
         a.grad_bias);
}

void grad_x(const CudaExec& exec, const DenseGradArgs& a) {
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
                  .epilogue = backward_epilogue(exec, a.below)};
  const bool fused = product.epilogue != CUBLASLT_EPILOGUE_DEFAULT;
  if (fused) {
    product.aux = a.x_aux.data;
    product.aux_ld = aux_stride(a.below, a.x.cols);
    if (exec.cublas_lt().enqueue(exec, product)) return;
  }
  enqueue_plain(exec, product);
  activation::dispatch(a.below, [&]<Activation Below>() {
    if constexpr (Below != Activation::kIdentity)
      launch_octets(exec, dense_derive<Below>, a.x.rows, a.x.cols, a.x, a.x_aux, a.grad_x);
  });
}

}  // namespace

std::int64_t dense_aux_bytes(const CudaExec&, Activation activation, std::int64_t rows, std::int64_t cols) {
  if (activation == Activation::kRelu) return rows * mask_stride(cols) / 8;
  if (activation == Activation::kGelu)
    return rows * pre_stride(cols) * static_cast<std::int64_t>(sizeof(float));
  return 0;
}

void dense(const CudaExec& exec, const DenseArgs& a) {
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
                  .epilogue = forward_epilogue(exec, a.activation, with_aux),
                  .bias = a.bias.data};
  const bool fused = is_fused(exec, a.activation);
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

void dense_backward(const CudaExec& exec, const DenseGradArgs& a) {
  check(exec, a);
  grad_weight(exec, a);
  if (!a.grad_x.empty()) grad_x(exec, a);
}

}  // namespace felbo
