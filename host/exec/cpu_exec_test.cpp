#include "host/exec/cpu_exec.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/exec/buffer.h"

namespace felbo {
namespace {

TEST(CpuExec, TakesTheThreadsAskedFor) {
  EXPECT_EQ(CpuExec(1).threads(), 1);
  EXPECT_EQ(CpuExec(3).threads(), 3);
  EXPECT_EQ(CpuExec(4096).threads(), 4096);
  EXPECT_EQ(CpuExec(0).threads(), omp_get_num_procs());
  EXPECT_EQ(CpuExec().threads(), omp_get_num_procs());
}

TEST(CpuExec, RefusesThreadsOutOfRange) {
  for (const int threads : {-1, -100, 4097}) {
    try {
      CpuExec exec(threads);
      ADD_FAILURE() << threads;
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()),
                "threads must be between 0 (all cores) and 4096, got " + std::to_string(threads));
    }
  }
}

TEST(CpuExec, ParallelForVisitsEveryItemOnce) {
  for (const int threads : {1, 2, 3, 7, 16}) {
    const CpuExec exec(threads);
    for (const std::int64_t n : {0, 1, 2, 3, 6, 7, 8, 31, 32, 33, 1000}) {
      for (const std::int64_t grain : {1, 2, 5, 32, 1000, 5000}) {
        std::vector<std::atomic<int>> visits(static_cast<std::size_t>(n));
        std::atomic<int> calls = 0, empty = 0;
        exec.parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
          ++calls;
          if (begin >= end) ++empty;
          for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
        });
        SCOPED_TRACE(testing::Message() << threads << " threads, " << n << " items, grain " << grain);
        for (const auto& v : visits) ASSERT_EQ(v.load(), 1);
        EXPECT_EQ(empty, 0);
        EXPECT_LE(calls, threads);
        EXPECT_LE(calls, (n + grain - 1) / grain);  // more threads than pieces, or than items
        EXPECT_GE(calls, n > 0 ? 1 : 0);
      }
    }
  }
}

TEST(CpuExec, ParallelCallsOnceOnEachThreadOfTheTeam) {
  for (const int threads : {1, 2, 5}) {
    for (const std::int64_t most : {-3, 0, 1, 2, 100}) {
      std::vector<std::atomic<int>> calls(8);
      std::atomic<std::int64_t> size = 0;
      CpuExec(threads).parallel(most, [&](Team team) {
        ++calls[static_cast<std::size_t>(team.index)];
        size = team.size;
      });
      EXPECT_LE(size, std::clamp<std::int64_t>(most, 1, threads));
      for (std::int64_t i = 0; i < 8; ++i)
        EXPECT_EQ(calls[static_cast<std::size_t>(i)], i < size ? 1 : 0) << threads << " " << most;
    }
  }
}

// A library that is called inside must not start a team of its own, and the setting must not outlive the
// region.
TEST(CpuExec, InsideARegionThereIsOneThreadAndOutsideNothingHasChanged) {
  const int before = omp_get_max_threads();
  std::atomic<int> most = 0;
  CpuExec(3).parallel(3, [&](Team) {
    for (int seen = most;
         seen < omp_get_max_threads() && !most.compare_exchange_weak(seen, omp_get_max_threads());) {
    }
  });
  EXPECT_EQ(most, 1);
  EXPECT_EQ(omp_get_max_threads(), before);
}

TEST(Team, SharesAreContiguousAndEven) {
  for (const std::int64_t size : {1, 2, 3, 7, 4096}) {
    for (const std::int64_t n :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{6}, std::int64_t{100}, std::int64_t{1} << 50}) {
      std::int64_t end = 0;
      for (std::int64_t index = 0; index < size; ++index) {
        const Range range = Team{index, size}.share(n);
        ASSERT_EQ(range.begin, end);
        const std::int64_t length = range.end - range.begin;
        ASSERT_TRUE(length == n / size || length == n / size + 1);
        end = range.end;
      }
      ASSERT_EQ(end, n);
    }
  }
}

TEST(Buffer, IsZeroedAndAlignedAndMoves) {
  const CpuExec exec(1);
  for (const std::int64_t size : {0, 1, 15, 16, 17, 1000}) {
    Buffer<CpuExec, float> buffer(exec, size);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0u);
    for (const float value : buffer.host()) ASSERT_EQ(value, 0.0f);
    for (std::int64_t i = 0; i < size; ++i) buffer.view()(i) = static_cast<float>(i);
    const float* where = buffer.data();
    const Buffer<CpuExec, float> moved = std::move(buffer);
    EXPECT_EQ(moved.data(), where);
    EXPECT_EQ(moved.host().size(), static_cast<std::size_t>(size));
  }
  const Buffer<CpuExec, float> none;
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(none.size(), 0);
}

TEST(Buffer, ViewsTakeTheShapeAskedFor) {
  const Buffer<CpuExec, float> buffer(CpuExec(1), 12);
  const View<float, 2> matrix = buffer.matrix(3, 4);
  EXPECT_EQ(matrix.rows, 3);
  EXPECT_EQ(matrix.cols, 4);
  EXPECT_EQ(matrix.stride, 4);
  EXPECT_EQ(buffer.vector(5).size, 5);
  EXPECT_EQ(buffer.vector(5).data, buffer.data());
}

}  // namespace
}  // namespace felbo
