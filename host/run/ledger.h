// What the figures of a run rest on: units, data, program, machine. Every checkpoint carries it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "host/data/dataset.h"
#include "host/run/run_config.h"

namespace felbo {

/// The commit that the program was built from, "unknown" outside a checkout.
std::string program_commit();

/// Where a run computes.
struct RunMachine {
  std::string device;                                 // as the program describes it
  std::map<std::string, std::string> libraries = {};  // of the device: what it is called, and its version
};

/// 64 hexadecimal digits that name the rows of a part as they stand in memory: their number, columns, type
/// and values (of sparse rows the elements). It is the SHA-256 of a line of sizes and of the SHA-256 of each
/// piece of 2^20 bytes, which are made in parallel.
std::string fingerprint(const DataPart& part);

/// The ledger, as JSON text: `units` (what figures are sums and means of, and the constants that they
/// include), `likelihood` with what its values are densities of, `data` with the fingerprint of each part,
/// `binarize`, `precision`, `seed`, `device` (as the program describes it), `felbo` (version and commit),
/// `libraries` (oneDNN, and those of the device). How many log-variances were clamped is in metrics.jsonl.
std::string make_ledger(const RunConfig& config, const DataSet& data, const RunMachine& machine);

/// How the data at hand differ from those of the ledger, a line a difference: parts of other rows, or values
/// of another unit, whose densities do not compare. Empty where nothing differs, or where the ledger is empty
/// (an earlier version wrote none). Throws std::invalid_argument if the ledger is not JSON of make_ledger().
std::vector<std::string> data_differences(const std::string& ledger, const RunConfig& config,
                                          const DataSet& data);

/// How the program or the machine at hand differ, a line a difference, where that may change bits. Of
/// libraries those that both know: a ledger of an earlier version names fewer, one of a CPU has none of a
/// GPU.
std::vector<std::string> machine_differences(const std::string& ledger, const RunMachine& machine);

}  // namespace felbo
