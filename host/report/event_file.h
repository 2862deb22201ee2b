// Event files, which TensorBoard reads: records (tf_record.h), each an Event (event.proto).
#pragma once

#include <string>

namespace felbo::report {

/// A record with every number of a line of metrics.jsonl, under its key and rounded to float; the step is the
/// epoch. What is no number (JSON's null stands for what is not finite) is left out. `wall_time`: seconds
/// since 1970. Throws std::invalid_argument if the line is not one of metrics.
std::string event_of(const std::string& metrics_line, double wall_time);

/// An event file for the text of metrics.jsonl, each line with its end. The last epoch ended at `now`, the
/// ones before it as much earlier as the training of those behind them took ("seconds"): the text does not
/// say when. Without a line it holds just the record that every event file begins with. Throws as event_of()
/// does.
std::string event_file_of(const std::string& metrics, double now);

}  // namespace felbo::report
