// oneDNN's sgemm on fixed tiles of the output, one thread a tile, the bias and the activation applied
// while a tile is in the cache. The tiles depend on the shape alone, so the thread count cannot change a bit;
// oneDNN's own threading does change bits for some shapes.
#include <dnnl.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <type_traits>
#include <vector>

#include "kernels/common/check.h"
#include "kernels/dense/activation.h"
#include "kernels/dense/dense_check.h"

namespace felbo {
namespace {

// Each tile packs the other operand anew: fewer rows cost time (a tenth at 32), more leave cores without a
// tile.
constexpr std::int64_t kLeastTileRows = 64, kMostTileRows = 128, kTilesWanted = 4;
// A product with a transposed right operand packs it at each call, which many rows and few columns pay for:
// on all columns of a wide layer it ran at half the rate, or two thirds.
constexpr std::int64_t kTransposedRows = 512, kTransposedCols = 336;
// Of the rows that sgemm works on at a time a multiple: an odd tail cost a sixth.
constexpr std::int64_t kTileStep = 16;
constexpr std::int64_t kBiasCols = 64;
constexpr std::int64_t kBiasRows = 32;

/// Of at most `size` of `all`; an even number of them where there is more than one, for two cores.
std::int64_t even_tiles(std::int64_t all, std::int64_t size) {
  const std::int64_t tiles = (all + size - 1) / size;
  return tiles > 1 ? tiles + tiles % 2 : tiles;
}
std::int64_t tile_count(std::int64_t rows) {
  return even_tiles(rows, std::clamp(rows / kTilesWanted, kLeastTileRows, kMostTileRows));
}
/// About equal tiles.
Range tile_of(std::int64_t tile, std::int64_t tiles, std::int64_t all) {
  const auto begin = [=](std::int64_t i) {
    return i == tiles ? all : all * i / tiles / kTileStep * kTileStep;
  };
  return {begin(tile), begin(tile + 1)};
}

/// The tiles of a product with a transposed right operand.
struct Grid {
  std::int64_t rows, cols;  // how many
  static Grid of(std::int64_t rows, std::int64_t cols) {
    const std::int64_t across = even_tiles(cols, kTransposedCols);
    const std::int64_t wanted = rows * across / kTilesWanted;
    return {even_tiles(rows, std::clamp(wanted, kLeastTileRows, kTransposedRows)), across};
  }
  std::int64_t count() const { return rows * cols; }
};

/// c = op(a) op(b), row-major, (m, k) by (k, n).
void product(char op_a, char op_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
             std::int64_t lda, const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  const dnnl_status_t status = dnnl_sgemm(op_a, op_b, m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, ldc);
  // Shapes were checked before, so this is the library's failure. It ends the process: no exception may leave
  // a parallel region.
  if (status != dnnl_success) {
    fmt::print(stderr, "felbo: dnnl_sgemm({}, {}, {} x {} x {}) failed with status {}\n", op_a, op_b, m, n, k,
               static_cast<int>(status));
    std::abort();
  }
}

/// The same for rows of a batch. oneDNN adds a lone row in another order than the rows of a larger batch, so
/// a lone row gets a blank one for company in `pair`, and its bits are those that it has in any batch.
void batch_product(char op_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                   std::int64_t lda, const float* b, std::int64_t ldb, float* c, std::int64_t ldc,
                   std::span<float> pair) {
  if (m > 1) return product('N', op_b, m, n, k, a, lda, b, ldb, c, ldc);
  float* out = pair.data() + 2 * k;
  std::copy_n(a, k, pair.data());
  product('N', op_b, 2, n, k, pair.data(), k, b, ldb, out, n);
  std::copy_n(out, n, c);
}

/// The memory of batch_product's pairs of rows, for each tile of columns, taken before any parallel region;
/// none for more than one row.
class LoneRow {
 public:
  LoneRow(std::int64_t rows, std::int64_t k, std::int64_t n, std::int64_t tiles)
      : each_(rows == 1 ? static_cast<std::size_t>(2 * (k + n)) : 0),
        memory_(each_ * static_cast<std::size_t>(tiles)) {}
  std::span<float> pair(std::int64_t tile) {
    return std::span(memory_).subspan(each_ * static_cast<std::size_t>(tile), each_);
  }

 private:
  std::size_t each_;
  std::vector<float> memory_;
};

/// An aux as the values before the activation; empty unless that is what it holds.
template <class Byte, class Float = std::conditional_t<std::is_const_v<Byte>, const float, float>>
View<Float, 2> pre_of(Activation activation, View<Byte, 1> aux, std::int64_t rows, std::int64_t cols) {
  if (!needs_pre_activation(activation) || aux.empty()) return {};
  return {reinterpret_cast<Float*>(aux.data), rows, cols};
}

template <Activation A>
void forward_epilogue(const DenseArgs& a, Range rows) {
  const float* bias = a.bias.data;
  const View<float, 2> all_pre = pre_of(A, a.aux, a.y.rows, a.y.cols);
  for (std::int64_t b = rows.begin; b < rows.end; ++b) {
    float* y = a.y.row(b);
    if (all_pre.empty()) {
      for (std::int64_t o = 0; o < a.y.cols; ++o) y[o] = activation::apply<A>(y[o] + bias[o]);
    } else {
      float* __restrict pre = all_pre.row(b);
      for (std::int64_t o = 0; o < a.y.cols; ++o) {
        const float x = y[o] + bias[o];
        pre[o] = x;
        y[o] = activation::apply<A>(x);
      }
    }
  }
}

template <Activation Below>
void backward_epilogue(const DenseGradArgs& a, Range rows, Range cols) {
  if constexpr (Below == Activation::kIdentity) return;
  const View<const float, 2> all_pre = pre_of(Below, a.x_aux, a.x.rows, a.x.cols);
  for (std::int64_t b = rows.begin; b < rows.end; ++b) {
    float* __restrict grad_x = a.grad_x.row(b);
    const float* y = a.x.row(b);
    const float* pre = needs_pre_activation(Below) ? all_pre.row(b) : y;
    for (std::int64_t i = cols.begin; i < cols.end; ++i)
      grad_x[i] *= activation::derivative<Below>(y[i], pre[i]);
  }
}

void grad_x_tile(const DenseGradArgs& a, Range rows, Range cols, std::span<float> pair) {
  batch_product('T', rows.end - rows.begin, cols.end - cols.begin, a.weight.cols, a.grad_y.row(rows.begin),
                a.grad_y.stride, a.weight.row(cols.begin), a.weight.stride,
                a.grad_x.row(rows.begin) + cols.begin, a.grad_x.stride, pair);
  activation::dispatch(a.below, [&]<Activation Below>() { backward_epilogue<Below>(a, rows, cols); });
}

void grad_weight_tile(const DenseGradArgs& a, Range rows) {
  product('T', 'N', rows.end - rows.begin, a.grad_y.cols, a.x.rows, a.x.data + rows.begin, a.x.stride,
          a.grad_y.data, a.grad_y.stride, a.grad_weight.row(rows.begin), a.grad_weight.stride);
}

/// Sums of kBiasCols columns: kBiasRows rows at a time in float, those in double.
void grad_bias_tile(const DenseGradArgs& a, std::int64_t tile) {
  const std::int64_t begin = tile * kBiasCols;
  const std::int64_t cols = std::min(kBiasCols, a.grad_y.cols - begin);
  double total[kBiasCols] = {};
  for (std::int64_t first = 0; first < a.grad_y.rows; first += kBiasRows) {
    float part[kBiasCols] = {};
    const std::int64_t last = std::min(first + kBiasRows, a.grad_y.rows);
    for (std::int64_t b = first; b < last; ++b) {
      const float* g = a.grad_y.row(b) + begin;
      for (std::int64_t o = 0; o < cols; ++o) part[o] += g[o];
    }
    for (std::int64_t o = 0; o < cols; ++o) total[o] += static_cast<double>(part[o]);
  }
  for (std::int64_t o = 0; o < cols; ++o) a.grad_bias(begin + o) = static_cast<float>(total[o]);
}

}  // namespace

std::int64_t dense_aux_bytes(const CpuExec&, Activation activation, std::int64_t rows, std::int64_t cols,
                             std::int64_t element) {
  return needs_pre_activation(activation) ? rows * cols * element : 0;
}

void dense(const CpuExec& exec, const DenseArgs& a) {
  check(exec, a);
  const std::int64_t tiles = tile_count(a.x.rows);
  LoneRow lone(a.x.rows, a.weight.rows, a.weight.cols, 1);
  exec.parallel_for(tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const Range rows = tile_of(tile, tiles, a.x.rows);
      batch_product('N', rows.end - rows.begin, a.weight.cols, a.weight.rows, a.x.row(rows.begin), a.x.stride,
                    a.weight.data, a.weight.stride, a.y.row(rows.begin), a.y.stride, lone.pair(0));
      activation::dispatch(a.activation, [&]<Activation A>() { forward_epilogue<A>(a, rows); });
    }
  });
}

void dense_backward(const CpuExec& exec, const DenseGradArgs& a) {
  check(exec, a);
  const bool want_x = !a.grad_x.empty(), want_parameters = !a.grad_weight.empty();
  const Grid grid = Grid::of(a.x.rows, a.weight.rows);
  const std::int64_t x_tiles = want_x ? grid.count() : 0;
  LoneRow lone(a.x.rows, a.weight.cols, a.weight.rows, grid.cols);
  const std::int64_t weight_tiles = want_parameters ? tile_count(a.weight.rows) : 0;
  const std::int64_t bias_tiles = want_parameters ? (a.grad_y.cols + kBiasCols - 1) / kBiasCols : 0;
  exec.parallel(std::max(weight_tiles, x_tiles), [&](Team team) {
    const auto each = [&](std::int64_t tiles, const auto& f) {
      const Range mine = team.share(tiles);
      for (std::int64_t tile = mine.begin; tile < mine.end; ++tile) f(tile);
    };
    each(x_tiles, [&](std::int64_t tile) {
      const std::int64_t across = tile / grid.rows;
      grad_x_tile(a, tile_of(tile % grid.rows, grid.rows, a.x.rows),
                  tile_of(across, grid.cols, a.weight.rows), lone.pair(across));
    });
    each(weight_tiles,
         [&](std::int64_t tile) { grad_weight_tile(a, tile_of(tile, weight_tiles, a.weight.rows)); });
    each(bias_tiles, [&](std::int64_t tile) { grad_bias_tile(a, tile); });
  });
}

}  // namespace felbo
