// A user, a scheduler or a shutdown asks the program to end: SIGINT or SIGTERM.
//
// No handler of a signal ever runs: oneDNN's products keep the stack pointer in the heap at times, and the
// frame that a handler gets would overwrite what lies there (oneDNN's issue 4845; mended in 2026, and Debian
// 12 has 2.6). The signals are blocked in every thread but for one, which does nothing else than wait for
// them.
#pragma once

#include <stdexcept>
#include <string>

namespace felbo {

/// Has a thread of its own wait for SIGINT and SIGTERM from now on, for as long as the process lives. They
/// end the process as ever while there is no StopRequest. One that is ignored stays ignored (as in a shell's
/// background). Call it once, before any other thread is started: threads block what their parent blocks.
/// Throws std::system_error.
void wait_for_stop_signals();

/// While one exists, a first signal only sets what requested() returns; a second one ends the process as it
/// would without. One at a time. Throws std::logic_error where wait_for_stop_signals() was not called.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// The signal that came, or 0.
  static int requested();
};

/// Thrown by work that has saved itself and ends early because it was asked to.
class Stopped : public std::runtime_error {
 public:
  Stopped(int signal, const std::string& message) : std::runtime_error(message), signal_(signal) {}
  int signal() const { return signal_; }

 private:
  int signal_;
};

/// "SIGINT" or "SIGTERM".
std::string signal_name(int signal);

}  // namespace felbo
