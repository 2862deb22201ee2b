// SHA-256 (FIPS 180-4), by which files and data sets are known again.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace felbo {

/// The digest of the bytes given so far, in pieces of any size. Throws std::runtime_error if OpenSSL fails.
class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  /// 64 lower-case hexadecimal digits. Ends the message: call it once.
  std::string hex_digest();

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const;
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

/// The digest of one message.
std::string sha256(std::span<const std::byte> bytes);

}  // namespace felbo
