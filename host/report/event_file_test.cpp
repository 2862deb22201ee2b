#include "host/report/event_file.h"

#include <gtest/gtest.h>

#include "host/report/event_test_reader.h"
#include "host/run/test_files.h"

namespace felbo::report {
namespace {

using testing_events::Event;
using testing_events::read_events;
using testing_files::has;

std::string refusal(const std::string& line) {
  return testing_files::message_of<std::invalid_argument>([&] { event_of(line, 0.0); });
}

TEST(EventFile, TheReaderKnowsTheCrc) {
  EXPECT_EQ(testing_events::crc32c("123456789"), 0xe3069283u);
  // RFC 3720, appendix B.4
  EXPECT_EQ(testing_events::crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(testing_events::crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(EventFile, BeginsWithItsVersion) {
  const std::vector<Event> events = read_events(event_file_of("", 1234.5));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].file_version, "brain.Event:2");
  EXPECT_EQ(events[0].wall_time, 1234.5);
  EXPECT_TRUE(events[0].values.empty());
}

TEST(EventFile, HoldsTheNumbersOfALine) {
  const std::string line =
      R"({"epoch":300,"step":141000,"elbo":-99.48125,"clamped":0,"log_px_stderr":null,"beta":1.0,"seconds":0.1})";
  const std::vector<Event> events = read_events(event_of(line, 1.7e9 + 0.25));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].step, 300);
  EXPECT_EQ(events[0].wall_time, 1.7e9 + 0.25);
  EXPECT_EQ(events[0].file_version, "");
  // 0 too: it is a number, and not what protocol buffers leave out.
  const std::map<std::string, float> want{
      {"step", 141000.0f}, {"elbo", -99.48125f}, {"clamped", 0.0f}, {"beta", 1.0f}, {"seconds", 0.1f}};
  EXPECT_EQ(events[0].values, want);
}

TEST(EventFile, OfSeveralLinesCountsTimeBack) {
  const std::string metrics =
      "{\"epoch\":1,\"elbo\":-3,\"seconds\":2}\n{\"epoch\":2,\"elbo\":-2,\"seconds\":4}\n"
      "{\"epoch\":3,\"elbo\":-1,\"seconds\":8}\n{\"epoch\":4,\"elbo\":0,\"sec";
  const std::vector<Event> events = read_events(event_file_of(metrics, 1000.0));
  ASSERT_EQ(events.size(), 4u) << "the line without its end was not written whole";
  const double times[] = {986.0, 988.0, 992.0, 1000.0};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(events[static_cast<std::size_t>(i)].step, i);
    EXPECT_EQ(events[static_cast<std::size_t>(i)].wall_time, times[i]);
  }
  EXPECT_EQ(events[2].values.at("elbo"), -2.0f);
}

TEST(EventFile, AddedEventsMakeTheSameFile) {
  const std::string one = R"({"epoch":1,"elbo":-3.25,"seconds":2})",
                    two = R"({"epoch":2,"elbo":-2,"seconds":4})";
  EXPECT_EQ(event_file_of(one + "\n", 96.0) + event_of(two, 100.0),
            event_file_of(one + "\n" + two + "\n", 100.0));
}

TEST(EventFile, RefusesWhatAreNoMetrics) {
  EXPECT_TRUE(has(refusal("[1]"), "not a line of metrics: '[1]'"));
  EXPECT_TRUE(has(refusal(R"({"elbo":-1})"), "not a line of metrics"));
  EXPECT_TRUE(has(refusal(R"({"epoch":1.5})"), "not a line of metrics"));
  EXPECT_TRUE(has(refusal("{"), "not a line of metrics"));
}

}  // namespace
}  // namespace felbo::report
