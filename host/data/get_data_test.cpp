// scripts/get-data.sh against a server on this machine; no other network.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "host/data/test_files.h"

namespace felbo {
namespace {

using test::TempFolder;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Outcome {
  int status = -1;
  std::string output;  // standard output and standard error
};

/// Runs a shell command.
Outcome run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen(("{ " + command + "; } 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char piece[4096];
  for (std::size_t n; (n = std::fread(piece, 1, sizeof piece, pipe)) > 0;) outcome.output.append(piece, n);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

/// get_data_server.py as a child process.
class Server {
 public:
  Server(const std::string& folder, const std::string& log) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::string script = FELBO_SOURCE_DIR "/host/data/get_data_server.py", served = folder, logged = log;
    std::string python = "python3", no_cache = "-B";
    char* arguments[] = {python.data(), no_cache.data(), script.data(),
                         served.data(), logged.data(),   nullptr};
    const int status = posix_spawnp(&pid_, "python3", &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    FILE* out = fdopen(ends[0], "r");
    if (status != 0 || out == nullptr || std::fscanf(out, "%d", &port_) != 1) port_ = 0;
    if (out != nullptr) std::fclose(out);
  }
  ~Server() { stop(); }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  bool runs() const { return port_ != 0; }
  void stop() {
    if (pid_ <= 0) return;
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int port_ = 0;
};

/// A copy of the script beside a table of two small files of the set "tiny", and a server of them.
class GetData : public testing::Test {
 protected:
  void SetUp() override {
    for (const std::string program : {"python3", "curl"}) {
      if (run("command -v " + program).status != 0) {
        GTEST_SKIP() << program << " is not installed: scripts/get-data.sh was NOT tried";
      }
    }
    std::filesystem::create_directories(folder_.path("scripts"));
    std::filesystem::copy_file(FELBO_SOURCE_DIR "/scripts/get-data.sh", folder_.path("scripts/get-data.sh"));
    images_ = test::ramp(5000, 13);
    folder_.write("served/images", images_);
    folder_.write("served/labels", "labels");
    const std::string url = " http://127.0.0.1:1/unused ";
    folder_.write("scripts/data-sets.txt",
                  "# a comment\n\n"
                  "tiny" +
                      url + "images sha256:" + digest("sha256", "images") + "\n" + "tiny" + url +
                      "labels md5:" + digest("md5", "labels") + "\n" + "other" + url + "more md5:0\n");
    server_ = std::make_unique<Server>(folder_.path("served"), log_);
    ASSERT_TRUE(server_->runs()) << "the server did not start";
  }

  /// Runs the script for `arguments`, with the server's folder `below` as mirror.
  Outcome get(const std::string& arguments, const std::string& below = "/") {
    // A proxy must not come between the script and this machine.
    return run("cd " + folder_.path() + " && no_proxy='*' NO_PROXY='*' FELBO_DATA_MIRROR=" + server_->url() +
               below + " scripts/get-data.sh " + arguments);
  }
  /// The checksum of a served file.
  std::string digest(const std::string& algorithm, const std::string& file) const {
    const std::string output = run(algorithm + "sum < " + folder_.path("served/" + file)).output;
    return output.substr(0, output.find(' '));
  }
  std::string image_path() const { return folder_.path("data/tiny/images"); }
  std::string requests() const { return read_file(log_); }
  void expect_all_there() const {
    EXPECT_EQ(read_file(image_path()), images_);
    EXPECT_EQ(read_file(folder_.path("data/tiny/labels")), "labels");
    EXPECT_FALSE(std::filesystem::exists(image_path() + ".part"));
  }
  static void expect_says(const Outcome& outcome, const std::string& text) {
    EXPECT_NE(outcome.output.find(text), std::string::npos)
        << "missing: " << text << "\noutput: " << outcome.output;
  }

  TempFolder folder_;
  std::string log_ = folder_.path("requests");
  std::string images_;
  std::unique_ptr<Server> server_;
};

TEST_F(GetData, FetchesAFreshSet) {
  const Outcome outcome = get("tiny");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  expect_says(outcome, "data/tiny/images: downloaded, sha256 right");
  expect_says(outcome, "data/tiny/labels: downloaded, md5 right");
  expect_all_there();
  EXPECT_EQ(requests(), "/images - 200\n/labels - 200\n");
}

TEST_F(GetData, FetchesToTheNamedFolder) {
  EXPECT_EQ(get("tiny 'a b/c'").status, 0);
  EXPECT_EQ(read_file(folder_.path("a b/c/images")), images_);
}

TEST_F(GetData, TakesUpAnInterruptedDownload) {
  folder_.write("data/tiny/images.part", images_.substr(0, 1234));
  const Outcome outcome = get("tiny");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  expect_says(outcome, "taking up after 1234 bytes");
  expect_all_there();
  EXPECT_EQ(requests(), "/images bytes=1234- 206\n/labels - 200\n");
}

TEST_F(GetData, StartsAgainWhereTheServerCannotTakeUp) {
  folder_.write("data/tiny/images.part", images_.substr(0, 1234));
  const Outcome outcome = get("tiny", "/plain/");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  expect_says(outcome, "starting again");
  expect_all_there();
}

TEST_F(GetData, StartsAgainWhenTooMuchIsThere) {
  folder_.write("data/tiny/images.part", images_ + "more");
  const Outcome outcome = get("tiny");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  expect_all_there();
}

TEST_F(GetData, UsesADownloadThatOnlyLackedItsCheck) {
  folder_.write("data/tiny/images.part", images_);
  const Outcome outcome = get("tiny");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  expect_all_there();
  EXPECT_EQ(requests(), "/labels - 200\n");
}

TEST_F(GetData, KeepsACorruptDownloadApart) {
  const std::string right = digest("sha256", "images");
  std::string corrupt = images_;
  corrupt[99] ^= 1;
  folder_.write("served/images", corrupt);
  Outcome outcome = get("tiny");
  EXPECT_EQ(outcome.status, 1);
  const std::string got = digest("sha256", "images");
  expect_says(outcome, "data/tiny/images: wrong sha256: expected " + right + ", got " + got);
  EXPECT_FALSE(std::filesystem::exists(image_path()));
  EXPECT_FALSE(std::filesystem::exists(image_path() + ".part"));
  EXPECT_EQ(read_file(image_path() + ".wrong"), corrupt);
  folder_.write("served/images", images_);
  outcome = get("tiny");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  expect_all_there();
}

TEST_F(GetData, LeavesRightFilesAlone) {
  ASSERT_EQ(get("tiny").status, 0);
  const std::string before = requests();
  const Outcome outcome = get("tiny");
  EXPECT_EQ(outcome.status, 0);
  expect_says(outcome, "data/tiny/images: already there, sha256 right");
  expect_says(outcome, "data/tiny/labels: already there, md5 right");
  EXPECT_EQ(requests(), before) << "it downloaded again";
}

TEST_F(GetData, LeavesAWrongFileAsItIs) {
  folder_.write("data/tiny/images", "mine");
  const Outcome outcome = get("tiny");
  EXPECT_EQ(outcome.status, 1);
  expect_says(outcome, "data/tiny/images: wrong sha256");
  expect_says(outcome, "left as it is");
  EXPECT_EQ(read_file(image_path()), "mine");
}

TEST_F(GetData, RefusesUnknownNames) {
  for (const std::string name : {"cifar", "tin", "t.ny"}) {
    const Outcome outcome = get(name);
    EXPECT_EQ(outcome.status, 2);
    expect_says(outcome, "no data set \"" + name + "\"");
    expect_says(outcome, "there are: tiny other");
  }
  EXPECT_FALSE(std::filesystem::exists(folder_.path("data")));
  EXPECT_EQ(get("").status, 2);
  EXPECT_EQ(get("tiny a b").status, 2);
  const Outcome help = get("--help");
  EXPECT_EQ(help.status, 0);
  expect_says(help, "tiny other");
}

TEST_F(GetData, SaysWhenTheServerLacksTheFile) {
  const Outcome outcome = get("other");
  EXPECT_EQ(outcome.status, 1);
  expect_says(outcome, "/more: the download failed");
  expect_says(outcome, "404");
}

TEST_F(GetData, SaysWhenThereIsNoNetwork) {
  server_->stop();
  folder_.write("data/tiny/images.part", "some");
  const Outcome outcome = get("tiny");
  EXPECT_EQ(outcome.status, 1);
  expect_says(outcome, server_->url() + "/images: the download failed");
  expect_says(outcome, "FELBO_DATA_MIRROR");
  EXPECT_EQ(read_file(image_path() + ".part"), "some");
  EXPECT_FALSE(std::filesystem::exists(image_path()));
}

TEST(GetDataTable, IsWellFormed) {
  const std::string table = FELBO_SOURCE_DIR "/scripts/data-sets.txt";
  const std::string row =
      "'^[^ ]+ +https?://[^ ]+[^/ ] +[^ ]+-ubyte([.]gz)? +(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$'";
  EXPECT_EQ(run("grep -v '^#' " + table + " | grep -vE " + row).output, "") << "rows of another form";
  EXPECT_GE(std::stoi(run("grep -cE " + row + " " + table).output), 8);
}

TEST(GetDataTable, HoldsTheDigestsOfTheRealMnist) {
  const char* data = std::getenv("FELBO_DATA_DIR");
  if (data == nullptr)
    GTEST_SKIP() << "FELBO_DATA_DIR is not set: the table was NOT held against the real MNIST";
  const Outcome outcome =
      run("FELBO_DATA_MIRROR=http://127.0.0.1:1 " FELBO_SOURCE_DIR "/scripts/get-data.sh mnist " +
          std::string(data) + "/mnist");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
}

}  // namespace
}  // namespace felbo
