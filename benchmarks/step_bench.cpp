#include "benchmarks/step_bench.h"

#include <dnnl.h>

#include "benchmarks/timer.h"
#include "host/train/shuffle.h"
#include "host/train/training_step.h"

namespace felbo::bench {
namespace {

/// (m, k) by (k, n), row-major.
struct Product {
  char op_a, op_b;
  std::int64_t m, n, k;
};

/// The products of a step: one a layer forward, the weights' gradient, and the input's but for the first
/// layer.
std::vector<Product> products_of(const Vae& vae, std::int64_t batch) {
  std::vector<Product> products;
  for (const Mlp* mlp : {&vae.encoder(), &vae.decoder()}) {
    for (const Layer& layer : mlp->layers()) {
      products.push_back({'N', 'N', batch, layer.out, layer.in});
      products.push_back({'T', 'N', layer.in, layer.out, batch});
      if (&layer != &vae.encoder().layers().front())
        products.push_back({'N', 'T', batch, layer.in, layer.out});
    }
  }
  return products;
}

DataPart random_bytes(std::int64_t rows, std::int64_t cols) {
  DataPart part{.rows = rows, .cols = cols};
  part.bytes.resize(static_cast<std::size_t>(rows * cols));
  std::uint32_t word = 1;
  for (std::uint8_t& byte : part.bytes) {
    word = word * 1664525u + 1013904223u;
    byte = static_cast<std::uint8_t>(word >> 24);
  }
  return part;
}

}  // namespace

StepTiming time_step(const CpuExec& exec, std::int64_t X, std::int64_t H, std::int64_t Z,
                     std::int64_t batch) {
  const std::int64_t rows = std::max<std::int64_t>(20000, batch);
  const DataPart part = random_bytes(rows, X);
  const ResidentData<CpuExec> data(exec, part);
  const Vae vae({.dimensions = X, .latent = Z, .hidden = {H}});
  ModelState<CpuExec> state(exec, vae);
  std::ranges::copy(initial_parameters(vae, {std::vector<double>(static_cast<std::size_t>(X), 0.5), 0.1}, 0),
                    state.parameters.data());
  TrainingStep<CpuExec> step(exec, vae, data, state, {.max_batch = batch, .binarize = Binarize::kDynamic});
  const std::vector<std::uint32_t> order = epoch_order(0, 0, rows);
  const std::int64_t steps = rows / batch;
  const std::span<const std::uint32_t> full_batches{order.data(), static_cast<std::size_t>(steps * batch)};
  const std::vector<double> rates(static_cast<std::size_t>(steps), 1e-4);
  std::int64_t taken = 0;
  const auto one_step = [&] {
    if (taken++ % steps == 0) step.begin(full_batches, rates);
    step();
  };

  const std::vector<Product> products = products_of(vae, batch);
  double flops = 0.0;
  std::vector<Buffer<CpuExec, float>> a, b, c;
  for (const Product& p : products) {
    flops += 2.0 * static_cast<double>(p.m * p.n * p.k);
    a.emplace_back(exec, p.m * p.k);
    b.emplace_back(exec, p.k * p.n);
    c.emplace_back(exec, p.m * p.n);
    std::ranges::fill(a.back().host(), 0.5f);
    std::ranges::fill(b.back().host(), 0.25f);
  }
  const auto all_products = [&] {
    omp_set_num_threads(exec.threads());
    for (std::size_t i = 0; i < products.size(); ++i) {
      const Product& p = products[i];
      dnnl_sgemm(p.op_a, p.op_b, p.m, p.n, p.k, 1.0f, a[i].data(), p.op_a == 'N' ? p.k : p.m, b[i].data(),
                 p.op_b == 'N' ? p.n : p.k, 0.0f, c[i].data(), p.n);
    }
  };
  const PairedTiming timing = time_in_pairs(all_products, one_step, 15, 0.15);
  return {
      fmt::format("{}-{}-{}-{}-{}", X, H, Z, H, X), batch, timing.second, timing.first, timing.ratio, flops};
}

}  // namespace felbo::bench
