// Eigen's dense linear algebra, in double.
#pragma once

// g++ 12 takes its own AVX-512 intrinsics, which Eigen calls, for uninitialised (GCC bug 105593); the
// warnings come after inlining, so they are off for the whole file that includes this.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <Eigen/Eigenvalues>

namespace felbo::oracle {

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

}  // namespace felbo::oracle
