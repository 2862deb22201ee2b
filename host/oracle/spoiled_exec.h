// A CPU on which one op gives something wrong: what the comparisons with the oracle must see.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "host/exec/buffer.h"
#include "host/exec/replay.h"
#include "kernels/dense/dense.h"
#include "kernels/likelihood/likelihood.h"
#include "kernels/objective/objective.h"
#include "kernels/reparameterize/reparameterize.h"

namespace felbo {

/// What is done to an op's results after it ran. An empty function leaves them alone.
struct Spoil {
  std::function<void(const ReparameterizeArgs&)> reparameterize;
  std::function<void(const ReparameterizeGradArgs&)> reparameterize_backward;
  std::function<void(const LikelihoodArgs&)> likelihood;
  std::function<void(const LogMeanExpArgs&)> log_mean_exp_update;
  std::function<void(const ElboArgs&)> elbo;
  std::function<void(const DenseArgs&)> dense;
  std::function<void(const DenseGradArgs&)> dense_backward;
};

class SpoiledExec : public CpuExec {
 public:
  explicit SpoiledExec(Spoil spoil) : CpuExec(1), spoil_(std::move(spoil)) {}
  const CpuExec& cpu() const { return *this; }
  const Spoil& spoil() const { return spoil_; }

 private:
  Spoil spoil_;
};
inline SpoiledExec with_float_products(const SpoiledExec& exec) { return exec; }

template <class T>
class Buffer<SpoiledExec, T> : public Buffer<CpuExec, T> {
 public:
  using Buffer<CpuExec, T>::Buffer;
};
template <>
class Replay<SpoiledExec> : public Replay<CpuExec> {};

namespace spoiled {
template <class Args>
void then(const std::function<void(const Args&)>& spoil, const Args& args) {
  if (spoil) spoil(args);
}
}  // namespace spoiled

inline void reparameterize(const SpoiledExec& exec, const ReparameterizeArgs& args) {
  reparameterize(exec.cpu(), args);
  spoiled::then(exec.spoil().reparameterize, args);
}
inline void reparameterize_backward(const SpoiledExec& exec, const ReparameterizeGradArgs& args) {
  reparameterize_backward(exec.cpu(), args);
  spoiled::then(exec.spoil().reparameterize_backward, args);
}
inline void likelihood(const SpoiledExec& exec, const Likelihood& which, const LikelihoodArgs& args) {
  likelihood(exec.cpu(), which, args);
  spoiled::then(exec.spoil().likelihood, args);
}
inline void log_mean_exp_update(const SpoiledExec& exec, const LogMeanExpArgs& args) {
  log_mean_exp_update(exec.cpu(), args);
  spoiled::then(exec.spoil().log_mean_exp_update, args);
}
inline void elbo(const SpoiledExec& exec, const ElboArgs& args) {
  elbo(exec.cpu(), args);
  spoiled::then(exec.spoil().elbo, args);
}
inline void dense(const SpoiledExec& exec, const DenseArgs& args) {
  dense(exec.cpu(), args);
  spoiled::then(exec.spoil().dense, args);
}
inline void dense_backward(const SpoiledExec& exec, const DenseGradArgs& args) {
  dense_backward(exec.cpu(), args);
  spoiled::then(exec.spoil().dense_backward, args);
}

}  // namespace felbo
