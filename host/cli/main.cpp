#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>

#include "host/cli/commands.h"
#include "host/cli/common.h"
#include "host/run/atomic_file.h"
#include "host/run/stop_request.h"
#include "kernels/common/check.h"

namespace {

constexpr int kRunFailed = 1;
constexpr int kBadRequest = 2;
constexpr int kSignalled = 128;  // and the signal's number, as shells report it

/// Whether it was not set, and now is.
bool set_for_the_user(const char* name, const char* value) {
  return std::getenv(name) == nullptr && setenv(name, value, 1) == 0;
}

/// Threads that wait for each other by spinning take the core from the very thread they wait for as soon as
/// something else runs on the machine: a training step then takes several times as long. And rows in a
/// shuffled order miss the TLB at each, unless large arrays lie in huge pages (those that the system gives to
/// who asks). The OpenMP runtime and the C library read both wishes before main() begins, so the program
/// starts itself once more with them, unless the user has set them.
void start_with_wishes(char** argv) {
  const bool wait_briefly =
      std::getenv("OMP_WAIT_POLICY") == nullptr && set_for_the_user("GOMP_SPINCOUNT", "2000");
  const bool huge_pages = set_for_the_user("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
  if (wait_briefly || huge_pages) execv("/proc/self/exe", argv);  // returns only if it failed
}

/// A standard stream that is closed would be the number of the next file that is opened: what is printed
/// would end in a checkpoint. It is taken by /dev/null, opened so that printing to it fails.
void keep_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) == -1 &&
        ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream)
      std::_Exit(kRunFailed);
  }
}

/// To standard error, or nowhere if that cannot be written: fmt::print() would throw.
void say(const std::string& text) { std::fputs(text.c_str(), stderr); }

int run(int argc, char** argv) {
  CLI::App app{"felbo: variational autoencoders with fused ELBO kernels. Every figure is in nats a datum."};
  app.set_version_flag("--version", FELBO_VERSION);
  app.require_subcommand(0, 1);  // none is reported below: CLI11 would say so of an unknown one too
  felbo::add_train_command(app);
  felbo::add_evaluate_command(app);
  felbo::add_gap_command(app);
  felbo::add_sample_command(app);
  felbo::add_reconstruct_command(app);
  felbo::add_encode_command(app);
  felbo::add_interpolate_command(app);
  felbo::add_traverse_command(app);
  felbo::add_denoise_command(app);
  felbo::add_score_command(app);
  felbo::add_report_command(app);
  felbo::add_replay_command(app);
  felbo::add_check_command(app);
  felbo::add_oracle_command(app);
  felbo::add_bench_command(app);
  felbo::add_info_command(app);
  try {
    app.parse(argc, argv);
    FELBO_CHECK(!app.get_subcommands().empty(),
                "no subcommand: what shall it do? Run with --help for the list");
    felbo::flush_output();
    return 0;
  } catch (const CLI::Success& help) {
    const int status = app.exit(help);
    felbo::flush_output();
    return status;
  } catch (const CLI::ParseError& error) {
    say(fmt::format("felbo: {}\nRun with --help for the flags.\n", error.what()));
    return kBadRequest;
  }
}

}  // namespace

int main(int argc, char** argv) {
  keep_standard_streams();
  start_with_wishes(argv);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is a failed write, not a silent death
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that grows past its limit
  spdlog::set_default_logger(spdlog::stderr_color_mt("felbo"));
  spdlog::set_pattern("felbo: %^%l%$: %v");
  try {
    felbo::wait_for_stop_signals();
    return run(argc, argv);
  } catch (const std::invalid_argument& error) {
    say(fmt::format("felbo: {}\n", error.what()));
    return kBadRequest;
  } catch (const felbo::Stopped& stopped) {
    say(fmt::format("felbo: {}\n", stopped.what()));
    return kSignalled + stopped.signal();
  } catch (const std::bad_alloc&) {
    std::fputs("felbo: out of memory; lower --batch, --samples, --hidden or --latent\n", stderr);
    return kRunFailed;
  } catch (const std::filesystem::filesystem_error& error) {  // a name too long, a loop of links
    say(fmt::format("felbo: {}\n", error.what()));
    return felbo::is_machine_failure(error.code().value()) ? kRunFailed : kBadRequest;
  } catch (const std::exception& error) {
    say(fmt::format("felbo: {}\n", error.what()));
    return kRunFailed;
  }
}
