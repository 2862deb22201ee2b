// Sparse rows as scipy.sparse.save_npz writes them: a zip archive, compressed or not, of the .npy members
// format ('csr'), shape, indptr, indices and data.
#pragma once

#include <string>
#include <string_view>

#include "host/data/data_part.h"

namespace felbo {

/// Whether a file that begins with `head` is a zip archive.
bool is_zip(std::string_view head);

/// Reads it as sparse rows. Values may be bool, uint8, int32, int64, float32 or float64; they are kept as
/// float32, and whole numbers must be exact in it. Columns of a row may stand in any order; where one stands
/// twice its values are added, as scipy does.
///
/// Throws std::invalid_argument, with the member and the row: an archive that is damaged or is not of sparse
/// rows; another format than csr; an unsupported type; sizes that disagree or overflow; indptr that falls;
/// a column out of range; a value that is not finite. Memory grows with the bytes that are there, not with
/// those that a header claims; a member may hold no more than the matrix has room for, and no more than 64
/// MiB and 64 times the archive's size.
DataPart read_npz(const std::string& path);

}  // namespace felbo
