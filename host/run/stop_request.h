// A user, a scheduler or a shutdown asks the program to end: SIGINT or SIGTERM.
#pragma once

#include <csignal>
#include <stdexcept>
#include <string>

namespace felbo {

/// While one exists, a first SIGINT or SIGTERM only sets what requested() returns; a second one ends the
/// process as it would without. A signal that was ignored before stays ignored (as in a shell's background).
/// One at a time; not for use by two threads at once.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  /// The signal that came, or 0.
  static int requested();

 private:
  struct sigaction interrupt_ {};
  struct sigaction terminate_ {};
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
