// `felbo train --events tensorboard`: the event file, as an independent reader and as TensorBoard itself read
// it.
#include "host/report/event_test_reader.h"
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

using testing_events::Event;

class Events : public ::testing::Test {
 protected:
  void SetUp() override { write_bytes(data(), picture_npy(300, 4, 3)); }

  std::string data() const { return folder_ / "x.npy"; }
  std::string run() const { return folder_ / "run"; }
  std::string file() const { return run() + "/events.out.tfevents.felbo"; }
  std::vector<Event> events() const { return testing_events::read_events(read_bytes(file())); }

  Words training(const std::string& epochs, const std::string& events = "tensorboard") const {
    return {"train", "--data",   data(), "--out",    run(),  "--binarize", "threshold", "--hidden",
            "8",     "--latent", "2",    "--epochs", epochs, "--events",   events};
  }
  static void succeed(const Words& words) {
    const Outcome outcome = felbo(words);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }

  /// One event behind the first for each line of the metrics, with all of its numbers.
  void expect_events_of_metrics(std::size_t epochs) const {
    std::vector<json> lines;
    std::istringstream text(read_bytes(run() + "/metrics.jsonl"));
    for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
    const std::vector<Event> events = this->events();
    ASSERT_EQ(lines.size(), epochs);
    ASSERT_EQ(events.size(), epochs + 1);
    EXPECT_EQ(events[0].file_version, "brain.Event:2");
    for (std::size_t i = 0; i < epochs; ++i) {
      const Event& event = events[i + 1];
      EXPECT_EQ(event.step, lines[i]["epoch"]);
      EXPECT_GE(event.wall_time, events[i].wall_time);
      lines[i].erase("epoch");
      EXPECT_GT(lines[i].size(), 10u);
      std::map<std::string, float> want;
      for (const auto& [key, value] : lines[i].items())
        if (value.is_number()) want[key] = value.get<float>();
      EXPECT_EQ(event.values, want);
    }
  }

  TempFolder folder_;
};

TEST_F(Events, HoldWhatTheMetricsHold) {
  succeed(training("3") + Words{"--track-gap", "2"});
  expect_events_of_metrics(3);
  EXPECT_FALSE(events()[1].values.contains("tracked_log_px"));
  EXPECT_TRUE(events()[2].values.contains("tracked_log_px"));
}

TEST_F(Events, GoOnWithTheRun) {
  succeed(training("2"));
  succeed({"train", "--resume", run(), "--epochs", "4"});
  expect_events_of_metrics(4);
  // Epochs that the checkpoint does not know of are run again, and stand there once.
  succeed(training("3") + Words{"--force"});
  const std::string metrics = read_bytes(run() + "/metrics.jsonl"), of_three = read_bytes(file());
  succeed(training("2") + Words{"--force"});
  write_bytes(run() + "/metrics.jsonl", metrics);
  write_bytes(file(), of_three);
  succeed({"train", "--resume", run(), "--epochs", "5"});
  expect_events_of_metrics(5);
}

TEST_F(Events, StayInTheFileThatIsOpen) {
  succeed(training("2"));
  std::FILE* reader = std::fopen(file().c_str(), "rb");
  ASSERT_NE(reader, nullptr);
  std::fseek(reader, 0, SEEK_END);
  const auto length = static_cast<std::size_t>(std::ftell(reader));
  succeed({"train", "--resume", run(), "--epochs", "3"});
  std::string more(100'000, '\0');
  more.resize(std::fread(more.data(), 1, more.size(), reader));
  std::fclose(reader);
  const std::vector<Event> read = testing_events::read_events(more);
  ASSERT_EQ(read.size(), 1u) << "the one epoch more, and whole";
  EXPECT_EQ(read[0].step, 3);
  EXPECT_EQ(read_bytes(file()).size(), length + more.size());
}

TEST_F(Events, AppearWhileTheRunGoesOn) {
  Program program(training("100000"));
  for (int waits = 0; waits < 600 && program.running(); ++waits) {
    if (std::filesystem::exists(file()) && std::filesystem::file_size(file()) > 2000) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(program.running());
  program.send(SIGTERM);
  EXPECT_EQ(program.wait().status, 143);
  EXPECT_GE(events().size(), 3u);
}

TEST_F(Events, AreThereOnRequestOnly) {
  succeed(training("1", "none"));
  EXPECT_FALSE(std::filesystem::exists(file()));
  succeed({"train", "--resume", run(), "--epochs", "2", "--events", "tensorboard"});
  expect_events_of_metrics(2);
  succeed({"train", "--resume", run(), "--epochs", "3", "--events", "none"});
  EXPECT_FALSE(std::filesystem::exists(file())) << "it would miss an epoch";
  succeed({"train", "--resume", run(), "--epochs", "4", "--events", "tensorboard"});
  expect_events_of_metrics(4);
  succeed({"train", "--data", data(), "--out", run(), "--force", "--binarize", "threshold", "--epochs", "1"});
  EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(Events, AreReadByTensorBoard) {
  FELBO_NEEDS_PYTHON();
  succeed(training("4"));
  const std::string said = testing_files::run_python(folder_, R"(
import json, struct, sys
try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
except ImportError:
    print('no tensorboard')
    raise SystemExit
accumulator = EventAccumulator(sys.argv[1])
accumulator.Reload()
lines = [json.loads(line) for line in open(sys.argv[1] + '/metrics.jsonl')]
tags = {key for line in lines for key, value in line.items() if value is not None} - {'epoch'}
assert set(accumulator.Tags()['scalars']) == tags, (accumulator.Tags(), tags)
single = lambda value: struct.unpack('f', struct.pack('f', value))[0]
for tag in tags:
    read = [(event.step, event.value) for event in accumulator.Scalars(tag)]
    assert read == [(line['epoch'], single(line[tag])) for line in lines], (tag, read)
print(len(tags), 'scalars of', len(lines), 'epochs agree')
)",
                                                     {run()});
  if (has(said, "no tensorboard")) GTEST_SKIP() << "NOT CHECKED against TensorBoard, which is not installed";
  EXPECT_TRUE(has(said, "scalars of 4 epochs agree"));
}

}  // namespace
}  // namespace felbo::cli
