#include "host/run/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <stdexcept>

namespace felbo {
namespace {

void check_openssl(bool success, const char* call) {
  if (!success) throw std::runtime_error(fmt::format("OpenSSL's {} failed", call));
}

}  // namespace

void Sha256::Free::operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  check_openssl(context_ != nullptr, "EVP_MD_CTX_new");
  check_openssl(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1, "EVP_DigestInit_ex");
}

void Sha256::update(std::span<const std::byte> bytes) {
  check_openssl(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1, "EVP_DigestUpdate");
}

std::string Sha256::hex_digest() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  check_openssl(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1, "EVP_DigestFinal_ex");
  std::string digits;
  for (unsigned int i = 0; i < size; ++i) digits += fmt::format("{:02x}", digest[i]);
  return digits;
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 sum;
  sum.update(bytes);
  return sum.hex_digest();
}

}  // namespace felbo
