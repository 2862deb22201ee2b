// Probabilistic PCA (Tipping and Bishop, "Probabilistic principal component analysis", J. R. Stat. Soc. B 61,
// 1999): x = W z + mu + sigma e. Its likelihood has one maximum, known in closed form: the best that any
// linear VAE with one learned variance can reach on its training data.
//
//   S = 1/N sum_n (x_n - mu)(x_n - mu)^T,  eigenvalues l_1 >= ... >= l_X        divided by N, not N - 1
//   sigma^2 = mean of l_{Z+1} ... l_X                                             equation 8
//   W       = U_Z (L_Z - sigma^2 I)^{1/2}                                         equation 7, with R = I
//   mean log p(x) = -1/2 (X log 2 pi + sum_{i <= Z} log l_i + (X - Z) log sigma^2 + X)
#pragma once

#include "host/data/data_part.h"
#include "host/oracle/linear_vae.h"

namespace felbo::oracle {

/// Mean and covariance, the latter divided by N.
struct DataCovariance {
  Vector mean;        // (X)
  Matrix covariance;  // (X, X)
};

/// Of the rows of a part as a model sees them: bytes / 255, floats as they stand.
DataCovariance data_covariance(const DataPart& part);

/// The maximum of the likelihood.
struct Ppca {
  Vector mean;            // (X)
  Matrix w;               // (X, Z) orthogonal columns, the longest first
  double variance = 0.0;  // sigma^2
  double log_px = 0.0;    // log p(x), nats a datum: the mean over the data that it was fitted to
};

/// Fits Z = `latent` dimensions. Throws std::invalid_argument unless 1 <= latent < X, or if the data lie in
/// `latent` dimensions (sigma^2 = 0: the likelihood has no bound).
Ppca fit_ppca(const DataCovariance& data, std::int64_t latent);

/// The linear VAE that reaches ppca.log_px: its q(z|x) is the exact posterior, which is diagonal since the
/// columns of W are orthogonal (Lucas, Tucker, Grosse and Norouzi, "Don't blame the ELBO!", NeurIPS 2019).
LinearVae exact_linear_vae(const Ppca& ppca);

}  // namespace felbo::oracle
