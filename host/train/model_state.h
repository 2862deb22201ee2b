// All that training changes: the parameters, Adam's moments and the count of steps. A checkpoint holds
// exactly this.
#pragma once

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

}  // namespace felbo
