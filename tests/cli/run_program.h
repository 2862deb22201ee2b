// For the end-to-end tests: runs the real program as a script would, and reads what it leaves behind without
// any of its own code.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "host/data/test_files.h"
#include "host/run/test_files.h"

namespace felbo::cli {

using nlohmann::json;
using testing_files::has;
using testing_files::read_bytes;
using testing_files::TempFolder;
using testing_files::write_bytes;
using Words = std::vector<std::string>;

/// How a run of the program ended, and all that it said.
struct Outcome {
  int status = -1;  // exit status; -1 if a signal ended it
  int signal = 0;
  std::string out;
  std::string err;

  /// The one JSON object that standard output must consist of; a failure and an empty object if it does not.
  json object() const {
    const json parsed = json::parse(out, nullptr, false);
    const bool one_line = !out.empty() && out.find('\n') == out.size() - 1;
    EXPECT_TRUE(one_line && parsed.is_object()) << "expected one line with one JSON object, got: " << out;
    return parsed.is_object() ? parsed : json::object();
  }
};

struct RunOptions {
  std::optional<std::uint64_t> largest_file;  // limit on the size of any file it writes, in bytes
  std::string out_to;                         // standard output goes to this file instead
  Words environment;                          // NAME=VALUE, beside this process's own
};

/// The program, started with `arguments` and without a shell.
class Program {
 public:
  explicit Program(const Words& arguments, const RunOptions& options = {})
      : out_(std::tmpfile()), err_(std::tmpfile()) {
    Words words = arguments;
    words.insert(words.begin(), FELBO_PROGRAM);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    // What the child needs is made before the fork: another thread may hold a lock at that moment.
    Words added = options.environment;
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
    for (std::string& entry : added) environment.push_back(entry.data());
    environment.push_back(nullptr);
    if (!out_ || !err_) throw std::runtime_error("tmpfile failed");
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("fork failed");
    if (child_ == 0) become(argv, environment, options);
  }
  ~Program() {
    if (child_ <= 0) return;
    kill_hard();
    wait();
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// As a power cut would end it: it can clean up nothing.
  void kill_hard() { send(SIGKILL); }
  void send(int signal) { ::kill(child_, signal); }
  pid_t id() const { return child_; }

  bool running() {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
  }

  Outcome wait() {
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    Outcome outcome;
    if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
    outcome.out = text_of(out_.get());
    outcome.err = text_of(err_.get());
    return outcome;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;

  [[noreturn]] void become(const std::vector<char*>& argv, const std::vector<char*>& environment,
                           const RunOptions& options) const {
    if (options.largest_file) {
      const rlimit limit{*options.largest_file, *options.largest_file};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ::dup2(::fileno(out_.get()), STDOUT_FILENO);
    ::dup2(::fileno(err_.get()), STDERR_FILENO);
    if (!options.out_to.empty() && std::freopen(options.out_to.c_str(), "w", stdout) == nullptr) ::_exit(126);
    ::execve(argv[0], argv.data(), environment.data());
    ::_exit(127);
  }

  static std::string text_of(std::FILE* file) {
    std::rewind(file);
    std::string text;
    char buffer[4096];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
    return text;
  }

  File out_, err_;
  pid_t child_ = -1;
};

/// Runs the program to its end.
inline Outcome felbo(const Words& arguments, const RunOptions& options = {}) {
  return Program(arguments, options).wait();
}

/// Runs the program, which must succeed and print one JSON object.
inline json felbo_json(Words arguments) {
  arguments.push_back("--json");
  const Outcome outcome = felbo(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return outcome.object();
}

inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// What a checkpoint holds, read by the format's own description.
struct Checkpoint {
  std::map<std::string, std::string> tensors;  // name -> type, shape and bytes
  json metadata;
};

inline Checkpoint parse_checkpoint(const std::string& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  const json header = json::parse(file.substr(8, length));
  Checkpoint checkpoint;
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") continue;
    const std::uint64_t begin = tensor["data_offsets"][0], end = tensor["data_offsets"][1];
    checkpoint.tensors[name] =
        tensor["dtype"].dump() + tensor["shape"].dump() + ":" + file.substr(8 + length + begin, end - begin);
  }
  checkpoint.metadata = header.at("__metadata__");
  return checkpoint;
}

inline Checkpoint read_checkpoint(const std::filesystem::path& run) {
  return parse_checkpoint(read_bytes(run / "checkpoint.safetensors"));
}

/// The checkpoint's file with `edit` applied to its header (and to the bytes of its tensors), without the
/// checksums, as another program might write it.
template <class Edit>
std::string edited_checkpoint(const std::string& file, const Edit& edit) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  json header = json::parse(file.substr(8, length));
  std::string data = file.substr(8 + length);
  for (const char* sum : {"sha256", "header_sha256"}) header["__metadata__"].erase(sum);
  edit(header, data);
  const std::string text = header.dump();
  length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
}

/// Names of the tensors whose type, shape or bits differ; empty where the checkpoints hold the same.
inline Words different_tensors(const Checkpoint& a, const Checkpoint& b) {
  Words names;
  for (const auto& [name, bytes] : a.tensors) {
    const auto other = b.tensors.find(name);
    if (other == b.tensors.end() || other->second != bytes) names.push_back(name);
  }
  for (const auto& [name, bytes] : b.tensors) {
    if (!a.tensors.contains(name)) names.push_back(name);
  }
  return names;
}

/// Expects the same tensors, bit for bit, and the same counters.
inline void expect_same_checkpoint(const std::filesystem::path& run_a, const std::filesystem::path& run_b) {
  const Checkpoint a = read_checkpoint(run_a), b = read_checkpoint(run_b);
  ASSERT_GE(a.tensors.size(), 12u);  // two layers of weight and bias, each with Adam's two moments
  EXPECT_EQ(different_tensors(a, b), Words());
  for (const char* key : {"step", "epoch", "seed", "dimensions", "format", "sha256"}) {
    EXPECT_EQ(a.metadata.at(key), b.metadata.at(key)) << key;
  }
}

/// The lines of metrics.jsonl, without what a clock decides.
inline std::vector<json> read_metrics(const std::filesystem::path& run) {
  std::vector<json> lines;
  std::istringstream text(read_bytes(run / "metrics.jsonl"));
  for (std::string line; std::getline(text, line);) {
    lines.push_back(json::parse(line));
    EXPECT_EQ(lines.back().erase("seconds"), 1u);
    EXPECT_EQ(lines.back().erase("samples_per_second"), 1u);
  }
  return lines;
}

/// A file's bytes; of metrics.jsonl without what a clock decides, the rest byte for byte.
inline std::string timeless_bytes(const std::filesystem::path& file) {
  static const std::regex clock(",\"samples_per_second\":[^,}]*,\"seconds\":[^,}]*");
  const std::string bytes = read_bytes(file);
  return file.filename() == "metrics.jsonl" ? std::regex_replace(bytes, clock, "") : bytes;
}

/// The names of a run's files, with their timeless bytes.
inline std::map<std::string, std::string> timeless_files(const std::filesystem::path& run) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(run))
    files[entry.path().filename()] = timeless_bytes(entry.path());
  return files;
}

/// The names that only one of two runs has, or whose bytes differ.
inline Words different_files(const std::map<std::string, std::string>& a,
                             const std::map<std::string, std::string>& b) {
  Words names;
  for (const auto& [name, bytes] : a) {
    if (!b.contains(name) || b.at(name) != bytes) names.push_back(name);
  }
  for (const auto& [name, bytes] : b) {
    if (!a.contains(name)) names.push_back(name);
  }
  return names;
}

/// Every file and folder below `folder`, with the files' bytes.
inline std::map<std::string, std::string> snapshot(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    files[entry.path().string()] = entry.is_regular_file() ? read_bytes(entry.path()) : "(folder)";
  }
  return files;
}

/// The number of a process that has ended.
inline std::string ended_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return std::to_string(child);
}

/// Whether the long tests are to be left out, as in a build with sanitizers.
inline bool skip_long() {
  const char* skip = std::getenv("FELBO_SKIP_LONG");
  return skip != nullptr && std::string(skip) == "1";
}

/// Reproducible bytes that look random: a linear congruential generator's upper bits.
inline std::string random_bytes(std::size_t count, std::uint32_t seed = 1) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) {
    seed = seed * 1664525u + 1013904223u;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

/// Reproducible floats in [lo, hi).
inline std::vector<float> random_floats(std::size_t count, float lo, float hi) {
  std::vector<float> values;
  for (const char byte : random_bytes(count))
    values.push_back(lo + (hi - lo) * static_cast<float>(static_cast<unsigned char>(byte)) / 256.0f);
  return values;
}

/// A .npy matrix of float32, values in [lo, hi).
inline std::string float_npy(int rows, int cols, float lo, float hi) {
  const std::string shape = "(" + std::to_string(rows) + ", " + std::to_string(cols) + ")";
  return test::npy("<f4", shape, test::floats(random_floats(static_cast<std::size_t>(rows * cols), lo, hi)));
}

/// A .npy file of grey pictures, uint8. Pixel j of a picture is bright or dark as bit j % 3 of its class
/// says, so that there is something to learn.
inline std::string picture_npy(int rows, int height, int width) {
  const int cols = height * width;
  std::string pixels = random_bytes(static_cast<std::size_t>(rows * cols));
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < cols; ++j) {
      char& pixel = pixels[static_cast<std::size_t>(i * cols + j)];
      const int grey = static_cast<unsigned char>(pixel) / 4 + ((i % 8) >> (j % 3) & 1) * 180;
      pixel = static_cast<char>(grey);
    }
  }
  const std::string shape =
      "(" + std::to_string(rows) + ", " + std::to_string(height) + ", " + std::to_string(width) + ")";
  return test::npy("|u1", shape, pixels);
}

}  // namespace felbo::cli
