// Linear-Gaussian models to run estimators on, with data for them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/data/data_part.h"
#include "host/model/vae.h"
#include "host/oracle/linear_vae.h"

namespace felbo::oracle {

/// What q(z|x) of a model is.
enum class Encoder {
  kOther,  // some other Gaussian, wider than the posterior, its variance a function of x: there is a gap
  kExact,  // the posterior itself, which is diagonal for this decoder: every importance weight is p(x)
};

struct OracleCase {
  std::int64_t dimensions;  // X
  std::int64_t latent;      // Z
  std::string variance;     // as --variance has it
  float beta;               // of the training step
};

/// The models of `felbo oracle`: 1, 2 and 5 latent dimensions, every kind of variance that has closed forms.
std::vector<OracleCase> oracle_cases();

/// A model with its parameters and data: what runs on a device, and the oracle of the same floats.
struct OracleModel {
  std::string name;  // "Z=2, learned, other q"
  Vae vae;
  std::vector<float> flat;  // (P)
  DataPart data;
  LinearOracle oracle;

  /// Row n of the data.
  Vector x(std::int64_t n) const;
  /// All of them, (N, X).
  Matrix rows() const;
};

/// A model and `rows` data for it, functions of `seed` alone. The data are not drawn from the model itself:
/// it would have next to no gradient on them.
OracleModel make_oracle_model(const OracleCase& which, Encoder encoder, std::int64_t rows,
                              std::uint64_t seed);

}  // namespace felbo::oracle
