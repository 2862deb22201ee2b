#include "host/report/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace felbo::report {
namespace {

TEST(Escape, TheFiveCharactersWithAMeaning) {
  EXPECT_EQ(escape("a<b>&\"c\"'d'"), "a&lt;b&gt;&amp;&quot;c&quot;&#39;d&#39;");
  EXPECT_EQ(escape("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;");
  EXPECT_EQ(escape("&amp;"), "&amp;amp;");
  EXPECT_EQ(escape(""), "");
}

TEST(Escape, Utf8StaysAndAllElseIsReplaced) {
  const std::string good = "\xC3\xA9 \xE2\x88\x92 \xF0\x9F\x98\x80 \xED\x9F\xBF \xF4\x8F\xBF\xBF";
  EXPECT_EQ(escape(good), good);
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(escape("a\xFFz"), "a" + r + "z");
  EXPECT_EQ(escape("\xC3"), r);                          // cut short
  EXPECT_EQ(escape("\xC0\xAF"), r + r);                  // overlong /
  EXPECT_EQ(escape("\xE0\x80\xBC"), r + r + r);          // overlong <
  EXPECT_EQ(escape("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(escape("\xF4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(escape(std::string("a\0b\x1B", 4)), "a" + r + "b" + r);
  EXPECT_EQ(escape("a\n\tb"), "a\n\tb");
}

// The vectors of RFC 4648, section 10.
TEST(Base64, KnownAnswers) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foob"), "Zm9vYg==");
  EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64("\xFF\xFE\xFD\xFB"), "//79+w==");
}

TEST(Number, FixedAndShortest) {
  EXPECT_EQ(fixed(-1.25, 1),
            "\xE2\x88\x92"
            "1.2");
  EXPECT_EQ(fixed(-0.001, 2), "0.00");
  EXPECT_EQ(fixed(std::nan(""), 2), "not a number");
  EXPECT_EQ(fixed(-std::numeric_limits<double>::infinity(), 2), "minus infinite");
  EXPECT_EQ(shortest(0.001), "0.001");
  EXPECT_EQ(shortest(1e-7),
            "1e\xE2\x88\x92"
            "7");
  EXPECT_EQ(shortest(1.5e6, 3), "1.5e6");
  EXPECT_EQ(shortest(-0.0), "0");
}

TEST(Number, AFigureIsRoundedAsItsErrorSays) {
  const std::string pm = " \xC2\xB1 ", minus = "\xE2\x88\x92";
  EXPECT_EQ(figure(-99.4849, 0.2449), minus + "99.48" + pm + "0.24");
  EXPECT_EQ(figure(1234.5, 12.3), "1234" + pm + "12");
  EXPECT_EQ(figure(1234.5, 123.0), "1234" + pm + "123");
  EXPECT_EQ(figure(0.01234, 0.00056), "0.01234" + pm + "0.00056");
  EXPECT_EQ(figure(2.0, 0.0996), "2.00" + pm + "0.10");
  EXPECT_EQ(figure(-3.14159, std::nan("")), minus + "3.14");
  EXPECT_EQ(figure(-3.14159, 0.0), minus + "3.14");
}

}  // namespace
}  // namespace felbo::report
