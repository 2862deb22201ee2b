#include "host/run/stop_request.h"

#include <fmt/format.h>

namespace felbo {
namespace {

volatile std::sig_atomic_t requested_signal = 0;

void remember(int signal) { requested_signal = signal; }

void install(int signal, struct sigaction& before) {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;  // a second one finds the default
  ::sigaction(signal, nullptr, &before);
  if (before.sa_handler != SIG_IGN) ::sigaction(signal, &action, nullptr);
}

}  // namespace

StopRequest::StopRequest() {
  requested_signal = 0;
  install(SIGINT, interrupt_);
  install(SIGTERM, terminate_);
}

StopRequest::~StopRequest() {
  ::sigaction(SIGINT, &interrupt_, nullptr);
  ::sigaction(SIGTERM, &terminate_, nullptr);
}

int StopRequest::requested() { return requested_signal; }

std::string signal_name(int signal) {
  if (signal == SIGINT) return "SIGINT";
  if (signal == SIGTERM) return "SIGTERM";
  return fmt::format("signal {}", signal);
}

}  // namespace felbo
