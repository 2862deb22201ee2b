// The emulated cuBLASLt against values by hand, and felbo's use of it.
#include "cublasLt.h"

#include <gtest/gtest.h>

#include <vector>

#include "host/exec/cublas_lt.h"
#include "kernels/common/bfloat16.h"
#include "kernels/dense/dense.h"
#include "tests/emulator/emulator.h"

namespace felbo {
namespace {

using Floats = std::vector<float>;

class CublasLtTest : public testing::Test {
 protected:
  void TearDown() override { emulator::machine() = before_; }
  const emulator::Machine before_ = emulator::machine();
};

// A (2, 3) with rows 1 2 3 and 4 5 6; B (3, 2) with rows 1 0, 0 1, 2 -2. A B has rows 7 -4 and 16 -7.
struct Small {
  alignas(16) float a[8] = {1, 4, 2, 5, 3, 6};
  alignas(16) float a_transposed[8] = {1, 2, 3, 4, 5, 6};
  alignas(16) float b[8] = {1, 0, 2, 0, 1, -2};
  alignas(16) float d[16] = {};
  alignas(16) float bias[4] = {10, 0};
  alignas(16) unsigned char mask[32] = {};
  Product product(cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT) {
    return {.m = 2,
            .n = 2,
            .k = 3,
            .a = a,
            .lda = 2,
            .op_a = CUBLAS_OP_N,
            .b = b,
            .ldb = 3,
            .op_b = CUBLAS_OP_N,
            .d = d,
            .ldd = 2,
            .epilogue = epilogue};
  }
  Floats result() const { return {d[0], d[1], d[2], d[3]}; }
};

TEST_F(CublasLtTest, MultipliesColumnMajorMatrices) {
  const CudaExec exec;
  Small s;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, s.product()));
  EXPECT_EQ(s.result(), (Floats{7, 16, -4, -7}));
  Product transposed = s.product();
  transposed.a = s.a_transposed, transposed.lda = 3, transposed.op_a = CUBLAS_OP_T, transposed.ldd = 4;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, transposed));
  EXPECT_EQ(Floats(s.d, s.d + 6), (Floats{7, 16, -4, -7, -4, -7}));
}

TEST_F(CublasLtTest, EpiloguesTakeABiasForEachRowAndABitForEachElement) {
  const CudaExec exec;
  Small s;
  Product product = s.product(CUBLASLT_EPILOGUE_RELU_AUX_BIAS);
  product.bias = s.bias, product.aux = s.mask, product.aux_ld = 128;
  s.mask[0] = s.mask[16] = 0xff;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, product));
  EXPECT_EQ(s.result(), (Floats{17, 16, 6, 0}));
  EXPECT_EQ(s.mask[0], 0xff);
  EXPECT_EQ(s.mask[16], 0xfd);  // bits beyond the rows stay
  product.epilogue = CUBLASLT_EPILOGUE_DRELU;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, product));
  EXPECT_EQ(s.result(), (Floats{7, 16, -4, 0}));
  product = s.product(CUBLASLT_EPILOGUE_BGRADA);
  product.bias = s.bias;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, product));
  EXPECT_EQ(s.result(), (Floats{7, 16, -4, -7}));
  EXPECT_EQ(Floats(s.bias, s.bias + 2), (Floats{6, 15}));
}

TEST_F(CublasLtTest, Tf32LosesLowBitsOfOperands) {
  const CudaExec exact, tf32(0, 1 << 20, Precision::kTf32);
  Small s;
  s.b[0] = 1.0f + 0x1p-11f;  // a tie, to even
  s.b[3] = 1.0f + 0x1.8p-10f;
  exact.cublas_lt().enqueue(exact, s.product());
  EXPECT_EQ(s.d[0], 7.0f + 0x1p-11f);
  const CudaExec bf16(0, 1 << 20, Precision::kBf16);  // floats stay what they are
  bf16.cublas_lt().enqueue(bf16, s.product());
  EXPECT_EQ(s.d[0], 7.0f + 0x1p-11f);
  tf32.cublas_lt().enqueue(tf32, s.product());
  EXPECT_EQ(s.d[0], 7.0f);
  EXPECT_EQ(s.d[2], -4.0f + 1.0f + 0x1p-9f);
}

// The matrices of Small in bfloat16, which holds all their elements.
struct SmallBFloat16 {
  explicit SmallBFloat16(const Small& s) {
    for (int i = 0; i < 8; ++i) a[i] = BFloat16(s.a[i]), b[i] = BFloat16(s.b[i]);
    for (int i = 0; i < 4; ++i) bias[i] = BFloat16(s.bias[i]);
  }
  alignas(16) BFloat16 a[8], b[8], d[8], bias[4];
  alignas(16) BFloat16 aux[16];
};

TEST_F(CublasLtTest, BFloat16GivesBFloat16OrFloats) {
  const CudaExec exec(0, 1 << 20, Precision::kBf16);
  Small s;
  s.b[0] = 1.0f + 0x1p-7f;  // 8 bits; twice 7 is then rounded
  SmallBFloat16 h(s);
  Product product = s.product(CUBLASLT_EPILOGUE_BIAS);
  product.a = h.a, product.b = h.b, product.operands = CUDA_R_16BF, product.bias = s.bias;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, product));
  EXPECT_EQ(s.result(), (Floats{17.0f + 0x1p-7f, 16.0f + 0x1p-5f, 6, -7}));
  product.d = h.d, product.bias = h.bias, product.result = CUDA_R_16BF;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, product));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(static_cast<float>(h.d[i]), (Floats{17, 16, 6, -7})[i]) << i;
  product.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS, product.aux = h.aux, product.aux_ld = 8;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, product));
  EXPECT_EQ(static_cast<float>(h.aux[9]), -7.0f);
  EXPECT_EQ(static_cast<float>(h.d[2]), 6.0f);
  // The sums of A's rows, as floats.
  product = s.product(CUBLASLT_EPILOGUE_BGRADA);
  product.a = h.a, product.b = h.b, product.operands = CUDA_R_16BF, product.bias = s.bias;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, product));
  EXPECT_EQ(Floats(s.bias, s.bias + 2), (Floats{6, 15}));
}

TEST_F(CublasLtTest, RefusesTypesThatCublasLtDoesNotList) {
  const CudaExec exec;
  Small s;
  SmallBFloat16 h(s);
  Product product = s.product();
  product.d = h.d, product.result = CUDA_R_16BF;  // of floats
  EXPECT_THROW(exec.cublas_lt().enqueue(exec, product), std::runtime_error);
}

TEST_F(CublasLtTest, RefusesWhatCublasLtRefuses) {
  const CudaExec exec;
  Small s;
  Product product = s.product(CUBLASLT_EPILOGUE_RELU_AUX_BIAS);
  product.bias = s.bias, product.aux = s.mask, product.aux_ld = 64;
  EXPECT_THROW(exec.cublas_lt().enqueue(exec, product), std::runtime_error);
  product.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS, product.aux_ld = 12;
  EXPECT_THROW(exec.cublas_lt().enqueue(exec, product), std::runtime_error);
  product = s.product();
  product.lda = 1;
  EXPECT_THROW(exec.cublas_lt().enqueue(exec, product), std::runtime_error);
  product = s.product(CUBLASLT_EPILOGUE_BGRADA);
  product.bias = s.bias, product.a = s.a_transposed, product.lda = 3, product.op_a = CUBLAS_OP_T;
  EXPECT_FALSE(exec.cublas_lt().enqueue(exec, product));
  product = s.product(CUBLASLT_EPILOGUE_DRELU);
  product.k = 1, product.aux = s.mask, product.aux_ld = 128;
  EXPECT_FALSE(exec.cublas_lt().enqueue(exec, product));
}

// A plan for each kind of product; a pointer of another alignment makes another kind, another address does
// not.
TEST_F(CublasLtTest, AsksOnceForEachKindOfProduct) {
  const CudaExec exec;
  Small s, other;
  auto asked = [&, first = emulator::machine().heuristics] { return emulator::machine().heuristics - first; };
  for (int i = 0; i < 3; ++i) exec.cublas_lt().enqueue(exec, s.product());
  exec.cublas_lt().enqueue(exec, s.product());
  EXPECT_EQ(asked(), 1);
  Product product = s.product();
  product.b = s.b + 1;
  exec.cublas_lt().enqueue(exec, product);
  EXPECT_EQ(asked(), 2);
  product = s.product(CUBLASLT_EPILOGUE_BIAS);
  product.bias = s.bias;
  exec.cublas_lt().enqueue(exec, product);
  product.bias = s.bias + 1;
  exec.cublas_lt().enqueue(exec, product);
  EXPECT_EQ(asked(), 4);
  EXPECT_EQ(s.result(), (Floats{7, 16, -4, -7}));
  product = s.product();
  product.n = 1;
  exec.cublas_lt().enqueue(exec, product);
  EXPECT_EQ(asked(), 5);
}

TEST_F(CublasLtTest, WorksWithAnyWorkspace) {
  for (const std::int64_t bytes : {0, 256, 1000, 1 << 22}) {
    const CudaExec exec(0, bytes);
    Small s;
    EXPECT_TRUE(exec.cublas_lt().enqueue(exec, s.product()));
    EXPECT_EQ(s.result(), (Floats{7, 16, -4, -7})) << bytes;
  }
}

TEST_F(CublasLtTest, ItsObjectsEndWithTheExec) {
  const std::int64_t before = emulator::live_cublas_objects();
  {
    CudaExec exec, second;
    Small s;
    exec.cublas_lt().enqueue(exec, s.product());
    CudaExec moved = std::move(exec);
    EXPECT_TRUE(moved.cublas_lt().enqueue(moved, s.product(CUBLASLT_EPILOGUE_RELU)));
    second = std::move(moved);
    EXPECT_TRUE(second.cublas_lt().enqueue(second, s.product()));
    EXPECT_EQ(emulator::live_cublas_objects(), before + 1 + 1 + 2 * 4);  // two handles, two plans
  }
  EXPECT_EQ(emulator::live_cublas_objects(), before);
}

TEST_F(CublasLtTest, SaysThatItCannotStart) {
  emulator::machine().cublas_error = CUBLAS_STATUS_NOT_INITIALIZED;
  const std::size_t before = emulator::live_bytes();
  try {
    CudaExec exec;
    ADD_FAILURE();
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find("CUBLAS_STATUS_NOT_INITIALIZED"), std::string::npos) << e.what();
  }
  EXPECT_EQ(emulator::live_bytes(), before);
}

TEST_F(CublasLtTest, SaysThatTheLibraryIsNotThere) {
  emulator::machine().cublas_failure = "libcublasLt.so cannot be loaded";
  const std::size_t before = emulator::live_bytes();
  try {
    CudaExec exec;
    ADD_FAILURE();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "libcublasLt.so cannot be loaded");
  }
  EXPECT_EQ(emulator::live_bytes(), before);
}

TEST_F(CublasLtTest, AnEpilogueThatIsRefusedLateIsRefused) {
  const CudaExec exec;
  Small s;
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, s.product(CUBLASLT_EPILOGUE_RELU)));
  emulator::machine().refuse_epilogues = true;
  EXPECT_FALSE(exec.cublas_lt().enqueue(exec, s.product(CUBLASLT_EPILOGUE_RELU)));
  EXPECT_TRUE(exec.cublas_lt().enqueue(exec, s.product()));
}

TEST_F(CublasLtTest, DenseGoesOnWhereEpiloguesAreRefused) {
  emulator::machine().refuse_epilogues = true;
  const CudaExec exec;
  float x[2] = {1, -2}, weight[6] = {1, 2, 3, 4, 5, 6}, bias[3] = {10, 0, 1}, y[3] = {};
  dense(exec, {{x, 1, 2}, {weight, 2, 3}, {bias, 3}, Activation::kRelu, {y, 1, 3}, {}});
  exec.synchronize();
  EXPECT_EQ(Floats(y, y + 3), (Floats{3, 0, 0}));
}

}  // namespace
}  // namespace felbo
