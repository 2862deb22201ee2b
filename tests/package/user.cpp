// Uses an op and the model from an installed felbo.
#include <cmath>
#include <cstdio>

#include "host/model/vae.h"
#include "kernels/reparameterize/reparameterize.h"

int main() {
  const float mu[2] = {0.25f, -0.5f}, log_var[2] = {-0.2f, 0.1f};
  const std::uint32_t datum = 0;
  float z[2], kl;
  std::int32_t clamped;
  felbo::reparameterize(felbo::CpuExec(1), {.mu = {mu, 1, 2},
                                            .log_var = {log_var, 1, 2},
                                            .datum = {&datum, 1},
                                            .z = {z, 1, 2},
                                            .kl = {&kl, 1},
                                            .clamped = {&clamped, 1}});
  const felbo::Vae vae({.dimensions = 784, .latent = 20, .hidden = {500}});
  std::printf("KL %.7f nats, %lld parameters\n", static_cast<double>(kl),
              static_cast<long long>(vae.table().parameters()));
  return std::abs(kl - 0.1682008f) < 1e-6f && vae.table().parameters() == 815824 ? 0 : 1;
}
