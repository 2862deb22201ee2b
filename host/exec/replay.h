// A sequence of ops that runs again and again with the same arguments.
#pragma once

#include "host/exec/cpu_exec.h"

namespace felbo {

/// replay(exec, enqueue) runs the ops that `enqueue` enqueues. It must be the same sequence every time: what
/// changes between runs stands in memory of the Exec. On a GPU the sequence is recorded and later runs cost
/// one launch.
template <class Exec>
class Replay;

template <>
class Replay<CpuExec> {
 public:
  template <class F>
  void operator()(const CpuExec&, const F& enqueue) {
    enqueue();
  }
};

}  // namespace felbo
