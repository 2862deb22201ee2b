#include "host/run/sha256.h"

#include <gtest/gtest.h>

#include <string_view>

namespace felbo {
namespace {

std::string of(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

// The examples of FIPS 180-4 (appendix B of FIPS 180-2) and the empty message.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(of(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Around the edges of a block and of its padding: pieces of any size give what the whole gives.
TEST(Sha256, PiecesMakeNoDifference) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (const std::size_t size : {1u, 54u, 55u, 56u, 57u, 63u, 64u, 65u, 119u, 120u, 127u, 128u, 129u, 300u}) {
    const auto bytes = std::as_bytes(std::span(text).first(size));
    for (const std::size_t piece : {1u, 3u, 63u, 64u, 65u, 300u}) {
      Sha256 sum;
      for (std::size_t at = 0; at < size; at += piece)
        sum.update(bytes.subspan(at, std::min<std::size_t>(piece, size - at)));
      EXPECT_EQ(sum.hex_digest(), sha256(bytes)) << size << " in pieces of " << piece;
    }
  }
}

}  // namespace
}  // namespace felbo
