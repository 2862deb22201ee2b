#include "host/run/stop_request.h"

#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <system_error>
#include <thread>

namespace felbo {
namespace {

/// What a signal means at this moment: kNobodyListens, kNoneCame, or the one that came.
constexpr int kNobodyListens = -1, kNoneCame = 0;
std::atomic<int> requested_signal = kNobodyListens;
std::atomic<bool> waited_for = false;

/// The signals that ask the program to end, less those that are ignored.
sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction now {};
    ::sigaction(signal, nullptr, &now);
    if (now.sa_handler != SIG_IGN) sigaddset(&signals, signal);
  }
  return signals;
}

/// Ends the process by the signal, as if nobody had waited for it.
void end_by(int signal) {
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  std::signal(signal, SIG_DFL);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  std::raise(signal);
}

void wait_for(const sigset_t& signals) {
  for (;;) {
    int signal = 0, none = kNoneCame;
    if (sigwait(&signals, &signal) != 0) continue;
    if (!requested_signal.compare_exchange_strong(none, signal)) end_by(signal);
  }
}

}  // namespace

void wait_for_stop_signals() {
  const sigset_t signals = stop_signals();
  const int failure = ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (failure != 0) throw std::system_error(failure, std::generic_category(), "signals cannot be blocked");
  std::thread(wait_for, signals).detach();
  waited_for = true;
}

StopRequest::StopRequest() {
  if (!waited_for) throw std::logic_error("StopRequest: no thread waits for signals");
  requested_signal = kNoneCame;
}

StopRequest::~StopRequest() { requested_signal = kNobodyListens; }

int StopRequest::requested() {
  const int signal = requested_signal;
  return signal == kNobodyListens ? kNoneCame : signal;
}

std::string signal_name(int signal) {
  if (signal == SIGINT) return "SIGINT";
  if (signal == SIGTERM) return "SIGTERM";
  return fmt::format("signal {}", signal);
}

}  // namespace felbo
