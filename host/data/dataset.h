// Data sets: loading, holding out, and the summaries that a model needs of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host/data/data_part.h"

namespace felbo {

/// A data set. All its parts agree in columns, picture shape and type (bytes or floats).
struct DataSet {
  std::string spec;  // what load_data() was asked for
  DataPart train;
  std::optional<DataPart> valid;
  std::optional<DataPart> test;
  int levels = 0;  // K where the values stand for levels 0 ... K - 1 (scale_data() in run_config.h)
};

/// Loads `spec`, which is one of
///   - a folder with IDX files under MNIST's names, plain or gzipped: *train-images* and, where present,
///     *valid-images* and *t10k-images* or *test-images*. A folder with a single *images* file under another
///     name is a train part. Of a plain file and its .gz the plain one is read. Label files are ignored.
///   - one file, which becomes the train part: IDX (uint8, float32; rows x columns or rows x height x width),
///   plain or
///     gzipped, or .npy (versions 1.0 to 3.0; uint8 or little-endian float32, C order, the same shapes), or
///     .npz with sparse rows (npz.h).
///   - builtin:glyphs or builtin:linear-gaussian (glyphs.h, linear_gaussian.h), with an optional :SEED
///   (default 0).
/// The format is found by content, never by name.
///
/// Throws std::invalid_argument, with the file, the byte or the row, what was expected and what to do: a
/// missing, unreadable or special file; a folder with no data or with two files for one part; an unknown
/// built-in set; an unknown magic; an unsupported type, byte order, storage order or number of dimensions; no
/// rows or no columns; sizes that overflow or exceed the file; a truncated or corrupt file; bytes after the
/// data; NaN or infinity; parts that disagree. Throws std::runtime_error where reading fails half-way (a
/// broken disk). Memory grows with the bytes that are there, not with those that a header claims.
DataSet load_data(const std::string& spec);

/// Moves round(valid_fraction * rows) rows of `train` to `valid` when the set has neither valid nor test;
/// else, or when valid_fraction is 0, returns the set as it is. The rows are chosen by a fixed permutation,
/// the same whatever a run's seed, so that runs of different seeds are judged on the same rows; rows keep
/// their order inside each part. Throws std::invalid_argument unless 0 <= valid_fraction <= 0.9 and both
/// parts get a row.
DataSet hold_out(DataSet set, double valid_fraction);

/// The values of a part as a model sees them: bytes / divisor, floats as they stand.
struct DataSummary {
  float min = 0.0f;
  float max = 0.0f;
  bool all_binary = false;  // every value is 0 or 1
};
DataSummary summarize(const DataPart& part);

/// The share of rows in which each column has each level k = 0 ... levels - 1, (cols, levels), of values that
/// are k / max(levels - 1, 1) as a model sees them; half a row more for each level, so that none is 0.
std::vector<double> level_shares(const DataPart& part, int levels);

/// The mean of each column (length cols), of values as a model sees them, accumulated in double.
std::vector<double> column_means(const DataPart& part);

/// The variance of each column (divided by rows), averaged over columns.
double mean_column_variance(const DataPart& part);

}  // namespace felbo
