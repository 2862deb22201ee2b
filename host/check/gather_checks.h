// Minibatches: conversion and binarisation. Every pixel is exact.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "host/check/check.h"
#include "host/check/mirror.h"
#include "kernels/gather/gather.h"
#include "kernels/gather/gather_csr.h"
#include "kernels/gather/gather_reference.h"

namespace felbo::checks {

inline void fill_data(View<std::uint8_t, 2> data, std::mt19937& random, float) {
  for (std::int64_t i = 0; i < data.rows; ++i) {
    for (std::int64_t j = 0; j < data.cols; ++j) data(i, j) = static_cast<std::uint8_t>(random() % 256);
  }
}
/// Values around [0, divisor], the ends and the middle among them.
inline void fill_data(View<float, 2> data, std::mt19937& random, float divisor) {
  const float ends[] = {0.0f, 0.5f * divisor, divisor, -0.0f, -0.25f * divisor, 1.25f * divisor};
  for (std::int64_t i = 0; i < data.rows; ++i) {
    for (std::int64_t j = 0; j < data.cols; ++j) {
      const auto word = static_cast<std::uint32_t>(random());
      data(i, j) = word % 8 == 0 ? ends[word / 8 % 6] : divisor * static_cast<float>(word) / 4294967296.0f;
    }
  }
}

template <class T, class Exec>
void check_gather(const Exec& exec, Binarize binarize, float divisor, Parity& parity) {
  constexpr std::int64_t kData = 7;
  const std::vector<std::uint32_t> index{6, 0, 3, 3, 5};  // repeats and both ends
  const auto batch = static_cast<std::int64_t>(index.size());
  const NoiseStream noise{kNoiseSeed, 4000000000u, Purpose::kBinarize};
  Mirror<Exec, std::uint32_t> rows = row_of(exec, index);
  for (const std::int64_t cols : kWidths) {
    parity.begin_case(fmt::format("B {} X {} divisor {}", batch, cols, divisor));
    std::mt19937 random(kInputSeed);
    Mirror<Exec, T> data(exec, kData, cols, {cols % 5, cols % 3});
    fill_data(data.host(), random, divisor);
    data.send();
    Mirror<Exec, float> x(exec, batch, cols, {cols % 3, cols % 2});
    gather(exec, GatherArgs<T>{data.matrix(), rows.vector(), divisor, binarize, noise, x.matrix()});
    std::vector<float> want;
    for (const std::uint32_t i : index) {
      for (std::uint32_t j = 0; j < cols; ++j) {
        want.push_back(static_cast<float>(
            reference::gather_pixel<double>(data.host()(i, j), divisor, binarize, noise, i, j)));
      }
    }
    x.judge_bits(parity, "x", want);
    // The same rows as the host would have gathered them, behind two others.
    Mirror<Exec, T> gathered(exec, 2 + batch, cols, {cols % 2, cols % 3});
    fill_data(gathered.host(), random, divisor);
    for (std::int64_t i = 0; i < batch; ++i)
      std::copy_n(data.host().row(index[static_cast<std::size_t>(i)]), cols, gathered.host().row(2 + i));
    gathered.send();
    Mirror<Exec, std::int64_t> place = row_of<std::int64_t>(exec, {2});
    Mirror<Exec, float> y(exec, batch, cols, {cols % 3, cols % 2});
    GatherArgs<T> args{gathered.matrix(), rows.vector(), divisor, binarize, noise, y.matrix()};
    args.place = Scalar<std::int64_t>::read(place.vector().data);
    gather(exec, args);
    y.judge_bits(parity, "x of gathered rows", want);
  }
}

/// Sparse rows, with and without elements, against their dense pixels.
template <class Exec>
void check_gather_csr(const Exec& exec, Binarize binarize, Parity& parity) {
  const std::vector<std::uint32_t> index{4, 0, 2, 2, 3};
  const auto batch = static_cast<std::int64_t>(index.size());
  const NoiseStream noise{kNoiseSeed, 4000000000u, Purpose::kBinarize};
  Mirror<Exec, std::uint32_t> rows = row_of(exec, index);
  for (const std::int64_t cols : kWidths) {
    parity.begin_case(fmt::format("B {} X {}", batch, cols));
    std::mt19937 random(kInputSeed);
    std::vector<std::int64_t> begins{0};
    std::vector<std::uint32_t> columns;
    std::vector<float> values, dense(static_cast<std::size_t>(5 * cols));
    for (std::uint32_t i = 0; i < 5; ++i) {
      for (std::uint32_t j = 0; i != 2 && j < cols; ++j) {
        if (random() % 3 != 0) continue;
        columns.push_back(j);
        values.push_back(static_cast<float>(random() % 1000) / 800.0f);
        dense[static_cast<std::size_t>(i * cols + j)] = values.back();
      }
      begins.push_back(static_cast<std::int64_t>(columns.size()));
    }
    if (columns.empty()) columns.push_back(0), values.push_back(1.0f);  // of no row
    auto begin = row_of(exec, begins);
    auto column = row_of(exec, columns);
    auto value = row_of(exec, values);
    Mirror<Exec, float> x(exec, batch, cols, {cols % 3, cols % 2});
    GatherCsrArgs args;
    args.begin = begin.vector();
    args.column = column.vector();
    args.value = value.vector();
    args.rows = rows.vector();
    args.binarize = binarize;
    args.noise = noise;
    args.x = x.matrix();
    gather(exec, args);
    std::vector<float> want;
    for (const std::uint32_t i : index) {
      for (std::uint32_t j = 0; j < cols; ++j) {
        want.push_back(static_cast<float>(reference::gather_pixel<double>(
            dense[static_cast<std::size_t>(i * cols + j)], 1.0f, binarize, noise, i, j)));
      }
    }
    x.judge_bits(parity, "x", want);
  }
}

template <class Exec>
void add_gather_checks(std::vector<Check<Exec>>& checks) {
  const std::pair<const char*, Binarize> modes[] = {
      {"as they are", Binarize::kNone}, {"threshold", Binarize::kThreshold}, {"dynamic", Binarize::kDynamic}};
  for (const auto& [name, mode] : modes) {
    checks.push_back({fmt::format("gather/bytes, {}", name), [mode = mode](const Exec& exec, Parity& parity) {
                        check_gather<std::uint8_t>(exec, mode, 255.0f, parity);
                      }});
    checks.push_back(
        {fmt::format("gather/floats, {}", name), [mode = mode](const Exec& exec, Parity& parity) {
           for (const float divisor : {1.0f, 255.0f}) check_gather<float>(exec, mode, divisor, parity);
         }});
    checks.push_back(
        {fmt::format("gather/sparse, {}", name),
         [mode = mode](const Exec& exec, Parity& parity) { check_gather_csr(exec, mode, parity); }});
  }
}

}  // namespace felbo::checks
