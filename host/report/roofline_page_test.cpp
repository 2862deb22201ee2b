#include "host/report/roofline_page.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "host/run/test_files.h"

namespace felbo::report {
namespace {

using Json = nlohmann::ordered_json;
using testing_files::has;

Json row(const char* name, Json bytes, Json flops) {
  Json json{{"name", name}, {"params", "B:1"}, {"seconds", 1e-3}, {"bytes", bytes}, {"flops", flops}};
  json["gb_per_s"] = bytes.is_null() ? Json() : Json(bytes.get<double>() / 1e-3 * 1e-9);
  json["gflop_per_s"] = flops.is_null() ? Json() : Json(flops.get<double>() / 1e-3 * 1e-9);
  json["roofline"] = 0.5;
  return json;
}

Json bench() {
  return {{"device", "cpu <2>"},
          {"peaks", {{"gb_per_s", 20.0}, {"gflop_per_s", 400.0}, {"by", "a product"}}},
          {"results",
           {row("a/streams", 1e7, 5e6), row("b/computes", 1e6, 1e8), row("c/undeclared", 1e6, nullptr)}}};
}

TEST(Attainable, IsTheLowerOfTheTwoRoofs) {
  EXPECT_EQ(attainable(0.5, 20.0, 400.0), 10.0);
  EXPECT_EQ(attainable(20.0, 20.0, 400.0), 400.0);
  EXPECT_EQ(attainable(1e6, 20.0, 400.0), 400.0);
}

TEST(RooflinePage, ShowsWhatDeclaresBothAndListsAll) {
  const std::string page = roofline_page(bench(), "9");
  for (const char* part : {"<h3>Roofline</h3>", "class='roof'", "a/streams", "b/computes", "c/undeclared",
                           "cpu &lt;2&gt;", "of 2 ops", "20.0 GB/s"})
    EXPECT_TRUE(has(page, part));
  for (const char* part : {"nan", "<2>", "<script", "http://"}) EXPECT_FALSE(has(page, part)) << part;
}

TEST(RooflinePage, WithoutPeaksOrDeclarationsIsATable) {
  Json without = bench();
  without.erase("peaks");
  EXPECT_FALSE(has(roofline_page(without, ""), "<svg"));
  Json undeclared = bench();
  undeclared["results"] = {row("c", 1e6, nullptr)};
  EXPECT_FALSE(has(roofline_page(undeclared, ""), "<svg"));
  EXPECT_TRUE(has(roofline_page(undeclared, ""), "<table>"));
  Json empty = bench();
  empty["results"] = Json::array();
  EXPECT_THROW(roofline_page(empty, ""), std::invalid_argument);
}

}  // namespace
}  // namespace felbo::report
