// For tests: event files read by the formats' own descriptions, with no code of the writer's and no protobuf
// library.
//
// TFRecord: length (8 bytes, little endian), masked CRC of these, data, masked CRC of them; the mask turns a
// CRC-32C right by 15 bits and adds 0xa282ead8. Event: 1 wall_time (fixed64), 2 step (varint), 3 file_version
// (bytes), 5 summary (message of 1 value (message of 1 tag (bytes), 2 simple_value (fixed32))).
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace felbo::testing_events {

struct Event {
  double wall_time = 0.0;
  std::int64_t step = 0;
  std::string file_version;
  std::map<std::string, float> values;
};

/// Bit by bit: the remainder of the reflected polynomial 0x1edc6f41.
inline std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const std::uint32_t in = (static_cast<unsigned char>(byte) >> bit) & 1u;
      const bool subtract = ((crc ^ in) & 1u) != 0;
      crc >>= 1;
      if (subtract) crc ^= 0x82f63b78u;
    }
  }
  return ~crc;
}

/// Takes numbers and runs of bytes from the front of a text; throws std::runtime_error where it ends early.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }

  std::string_view take(std::uint64_t count) {
    if (count > bytes_.size()) throw std::runtime_error("the file ends within a record");
    const std::string_view front = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return front;
  }
  template <class T>
  T fixed() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string_view bytes() { return take(varint()); }

 private:
  std::string_view bytes_;
};

inline void read_value(std::string_view bytes, Event& event) {
  std::string tag;
  float value = 0.0f;
  for (Reader in(bytes); !in.done();) {
    const std::uint64_t key = in.varint();
    if (key == (1 << 3 | 2)) {
      tag = in.bytes();
    } else if (key == (2 << 3 | 5)) {
      value = in.fixed<float>();
    } else {
      throw std::runtime_error("a field of no scalar: key " + std::to_string(key));
    }
  }
  if (!event.values.emplace(tag, value).second) throw std::runtime_error(tag + " stands twice in an event");
}

inline Event read_event(std::string_view bytes) {
  Event event;
  for (Reader in(bytes); !in.done();) {
    const std::uint64_t key = in.varint();
    if (key == (1 << 3 | 1)) {
      event.wall_time = in.fixed<double>();
    } else if (key == (2 << 3 | 0)) {
      event.step = static_cast<std::int64_t>(in.varint());
    } else if (key == (3 << 3 | 2)) {
      event.file_version = in.bytes();
    } else if (key == (5 << 3 | 2)) {
      for (Reader summary(in.bytes()); !summary.done();) {
        if (summary.varint() != (1 << 3 | 2)) throw std::runtime_error("a summary of other than values");
        read_value(summary.bytes(), event);
      }
    } else {
      throw std::runtime_error("a field that felbo does not write: key " + std::to_string(key));
    }
  }
  return event;
}

/// The events of a file; throws std::runtime_error for a wrong CRC, or anything that is not whole.
inline std::vector<Event> read_events(const std::string& file) {
  std::vector<Event> events;
  for (Reader in(file); !in.done();) {
    const auto checked = [&](std::uint64_t count) {
      const std::string_view bytes = in.take(count);
      const std::uint32_t crc = crc32c(bytes);
      if (in.fixed<std::uint32_t>() != ((crc >> 15) | (crc << 17)) + 0xa282ead8u)
        throw std::runtime_error("a record's CRC is wrong");
      return bytes;
    };
    const auto length = Reader(checked(8)).fixed<std::uint64_t>();
    events.push_back(read_event(checked(length)));
  }
  return events;
}

}  // namespace felbo::testing_events
