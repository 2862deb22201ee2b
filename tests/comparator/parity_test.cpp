// The comparator is what every other test rests on, so it is tested first.
#include "tests/harness/parity.h"

#include <gtest/gtest.h>

#include <array>

namespace felbo::test {
namespace {

TEST(Parity, EqualPasses) {
  Parity parity;
  parity.element("x", 0, 0, 1.0, 1.0, 0.0);
  EXPECT_TRUE(parity.ok());
}

TEST(Parity, NothingComparedFails) { EXPECT_FALSE(Parity().ok()); }

TEST(Parity, NanFailsOnEitherSide) {
  const double nan = std::nan("");
  for (const auto& [got, want, tolerance] : {std::array{nan, 1.0, 1e9}, {1.0, nan, 1e9}, {1.0, 1.0, nan}}) {
    Parity parity;
    parity.element("x", 0, 0, got, want, tolerance);
    EXPECT_FALSE(parity.ok());
  }
}

TEST(Parity, OneElementOutOfManyFails) {
  std::vector<float> got(1000, 1.0f);
  std::vector<double> want(1000, 1.0);
  got[999] = 1.0f + 3e-7f;
  Parity parity;
  parity.compare("x", View<const float, 2>(got.data(), 10, 100), want, 2e-7);
  EXPECT_EQ(parity.failed(), 1);
  EXPECT_NE(parity.report().find("x(9, 99)"), std::string::npos) << parity.report();
}

TEST(Parity, ShapesMustAgree) {
  std::vector<float> got(4, 1.0f);
  Parity parity;
  parity.compare("x", View<const float, 2>(got.data(), 2, 2), std::vector<double>(3, 1.0), 1.0);
  EXPECT_FALSE(parity.ok());
}

TEST(Parity, FirstFailureNamesCaseArrayPlaceAndValues) {
  Parity parity;
  parity.begin_case("X 3");
  parity.element("x", 0, 0, 1.0, 1.0, 0.0);
  EXPECT_EQ(parity.first_failure(), "");
  parity.begin_case("X 4");
  parity.element("y", 2, 3, 1.5, 1.0, 0.25);
  parity.element("y", 2, 4, 9.0, 1.0, 0.25);
  EXPECT_EQ(parity.first_failure(), "X 4: y(2, 3): got 1.5, want 1, error 0.5, tolerance 0.25");
  EXPECT_EQ(parity.cases(), 2);
  EXPECT_EQ(parity.failed(), 2);
}

TEST(Parity, WorstIsTheLargestShareOfATolerance) {
  Parity parity;
  EXPECT_EQ(parity.worst(), 0.0);
  parity.element("x", 0, 0, 1.0, 1.0, 0.0);
  EXPECT_EQ(parity.worst(), 0.0);
  EXPECT_TRUE(parity.exact());
  parity.element("x", 0, 1, 1.5, 1.0, 2.0);
  parity.element("x", 0, 2, 1.0, 1.0, 2.0);
  EXPECT_EQ(parity.worst(), 0.25);
  EXPECT_FALSE(parity.exact());
  parity.element("x", 0, 3, 4.0, 1.0, 2.0);
  EXPECT_EQ(parity.worst(), 1.5);
}

TEST(Parity, WorstIsInfiniteForNanAndForErrorsThatHaveNoTolerance) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  for (const auto& [got, want, tolerance] :
       {std::array{nan, 1.0, 1.0}, {1.0, nan, 1.0}, {1.0, 2.0, 0.0}, {infinity, 1.0, 1.0}}) {
    Parity parity;
    parity.element("x", 0, 0, got, want, tolerance);
    EXPECT_EQ(parity.worst(), infinity) << got << " " << want;
  }
}

TEST(Guarded, SeesAWriteOutside) {
  for (const std::int64_t at : {-1, 3, 4, 10}) {  // before, in the gap of a strided row, and after
    Guarded<float> guarded(2, 3, 2, 1);
    Parity parity;
    parity.element("x", 0, 0, 0.0, 0.0, 0.0);
    guarded.matrix().data[at] = 0.0f;
    guarded.check_guards(parity, "x");
    EXPECT_FALSE(parity.ok()) << at;
  }
}

TEST(Guarded, AllowsWritesInside) {
  Guarded<float> guarded(2, 3, 2, 1);
  fill_normal(guarded.matrix(), 1);
  Parity parity;
  parity.element("x", 0, 0, 0.0, 0.0, 0.0);
  guarded.check_guards(parity, "x");
  EXPECT_TRUE(parity.ok()) << parity.report();
}

TEST(Guarded, StartsPoisoned) {
  Guarded<float> guarded(1, 1);
  EXPECT_TRUE(std::isnan(guarded.matrix()(0, 0)));
}

}  // namespace
}  // namespace felbo::test
