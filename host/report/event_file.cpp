#include "host/report/event_file.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "host/report/event.pb.h"
#include "host/report/tf_record.h"
#include "kernels/common/check.h"

namespace felbo::report {
namespace {

using nlohmann::ordered_json;

ordered_json parse(const std::string& line) {
  ordered_json json = ordered_json::parse(line, nullptr, false);
  FELBO_CHECK(json.is_object() && json.contains("epoch") && json["epoch"].is_number_integer(),
              "not a line of metrics: '{}'", line);
  return json;
}

std::string event_of(const ordered_json& metrics, double wall_time) {
  events::Event event;
  event.set_wall_time(wall_time);
  event.set_step(metrics["epoch"].get<std::int64_t>());
  for (const auto& [key, value] : metrics.items()) {
    if (key == "epoch" || !value.is_number()) continue;
    events::Summary::Value* number = event.mutable_summary()->add_value();
    number->set_tag(key);
    number->set_simple_value(value.get<float>());
  }
  return tf_record(event.SerializeAsString());
}

}  // namespace

std::string event_of(const std::string& metrics_line, double wall_time) {
  return event_of(parse(metrics_line), wall_time);
}

std::string event_file_of(const std::string& metrics, double now) {
  std::vector<ordered_json> lines;
  for (std::size_t begin = 0, end; (end = metrics.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(parse(metrics.substr(begin, end - begin)));
  const auto seconds = [](const ordered_json& line) { return line.value("seconds", 0.0); };
  double time = now;
  for (const ordered_json& line : lines) time -= seconds(line);
  events::Event first;
  first.set_wall_time(time);
  first.set_file_version("brain.Event:2");
  std::string file = tf_record(first.SerializeAsString());
  for (const ordered_json& line : lines) file += event_of(line, time += seconds(line));
  return file;
}

}  // namespace felbo::report
