// All that training changes: the parameters, Adam's moments and the count of steps. A checkpoint holds
// exactly this.
#pragma once

#include <utility>

#include "host/exec/buffer.h"
#include "host/model/vae.h"

namespace felbo {

template <class Exec>
struct ModelState {
  ModelState(const Exec& exec, const Vae& vae)
      : parameters(exec, vae.table().size()), m(exec, vae.table().size()), v(exec, vae.table().size()) {}

  Buffer<Exec, float> parameters;  // (P) flat, carved by the model's table
  Buffer<Exec, float> m;           // (P) Adam's first moment
  Buffer<Exec, float> v;           // (P) Adam's second moment
  std::int64_t step = 0;           // optimiser steps taken
  int epoch = 0;                   // epochs finished
};

/// The state in an Exec's memory, from host memory, where checkpoints are read into.
inline ModelState<CpuExec> state_on(const CpuExec&, const Vae&, ModelState<CpuExec> host) { return host; }
template <class Exec>
ModelState<Exec> state_on(const Exec& exec, const Vae& vae, const ModelState<CpuExec>& host) {
  ModelState<Exec> state(exec, vae);
  upload(exec, host.parameters.host(), state.parameters.view());
  upload(exec, host.m.host(), state.m.view());
  upload(exec, host.v.host(), state.v.view());
  state.step = host.step;
  state.epoch = host.epoch;
  return state;
}

/// A copy of the state in host memory.
template <class Exec>
ModelState<CpuExec> host_copy(const Exec& exec, const Vae& vae, const ModelState<Exec>& state) {
  ModelState<CpuExec> host(CpuExec(1), vae);
  download(exec, state.parameters.view(), host.parameters.host());
  download(exec, state.m.view(), host.m.host());
  download(exec, state.v.view(), host.v.host());
  host.step = state.step;
  host.epoch = state.epoch;
  return host;
}

/// The state in host memory, where checkpoints are written from.
inline const ModelState<CpuExec>& host_state(const CpuExec&, const Vae&, const ModelState<CpuExec>& state) {
  return state;
}
template <class Exec>
ModelState<CpuExec> host_state(const Exec& exec, const Vae& vae, const ModelState<Exec>& state) {
  return host_copy(exec, vae, state);
}

}  // namespace felbo
