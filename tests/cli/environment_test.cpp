// The program in odd surroundings: streams that are closed or full, variables without sense, a folder that
// cannot be written. A request that cannot be served ends with a message and writes nothing; all else gives
// the bits of a run in plain surroundings.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

/// A line for the shell, in a folder that holds the run `run` and its data x.npy; $FELBO is the program.
struct Row {
  const char* name;
  const char* script;
  int status;
  const char* word;  // that standard error holds
};

std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }

constexpr const char* kTrain =
    "train --data x.npy --likelihood gaussian --hidden 6 --latent 2 --epochs 2 --batch 64 --threads 2 --out ";

class Environment : public ::testing::TestWithParam<Row> {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    write_bytes(*folder_ / "x.npy", float_npy(300, 12, -1, 1));
    ASSERT_EQ(shell(std::string("$FELBO ") + kTrain + "run").status, 0);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  /// Runs a script in the test's folder.
  static Outcome shell(const std::string& script) {
    const std::filesystem::path out = *folder_ / "stdout", err = *folder_ / "stderr";
    const std::string line = "cd '" + folder_->path().string() + "' && export FELBO='" + FELBO_PROGRAM +
                             "' TRAIN='" + kTrain + "' && { " + script + "; } >" + out.string() + " 2>" +
                             err.string();
    const int status = std::system(line.c_str());
    Outcome outcome;
    if (WIFEXITED(status)) outcome.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
    outcome.out = read_bytes(out);
    outcome.err = read_bytes(err);
    std::filesystem::remove(out);
    std::filesystem::remove(err);
    return outcome;
  }

  static std::unique_ptr<TempFolder> folder_;
};

std::unique_ptr<TempFolder> Environment::folder_;

/// Limits that a sanitizer's own needs do not fit; sanitizers' builds are those that skip what is long.
bool beyond_sanitizers(const Row& row) {
  return skip_long() && (row.name == std::string("few_files") || row.name == std::string("small_stacks"));
}

std::string name_of_row(const ::testing::TestParamInfo<Row>& info) { return info.param.name; }

class Refused : public Environment {};
TEST_P(Refused, WithAMessageAndNothingWritten) {
  const Row& row = GetParam();
  if (beyond_sanitizers(row)) GTEST_SKIP() << "NOT CHECKED: the limit is too narrow for a sanitizer";
  const auto before = snapshot(folder_->path());
  const Outcome outcome = shell(row.script);
  EXPECT_EQ(outcome.status, row.status) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(has(outcome.err, row.word));
  EXPECT_TRUE(before == snapshot(folder_->path())) << "something was written";
}

constexpr const char* kStream = "cannot write to standard output";
constexpr Row kRefused[] = {
    {"stdout_full", "$FELBO evaluate run >/dev/full", 1, kStream},
    {"stdout_full_json", "$FELBO evaluate run --json >/dev/full", 1, kStream},
    {"stdout_full_help", "$FELBO train --help >/dev/full", 1, kStream},
    {"stdout_full_version", "$FELBO --version >/dev/full", 1, kStream},
    {"stdout_full_info", "$FELBO info >/dev/full", 1, kStream},
    {"stdout_closed", "$FELBO evaluate run >&-", 1, kStream},
    {"stdout_closed_json", "$FELBO evaluate run --json >&-", 1, kStream},
    {"stdout_closed_help", "$FELBO --help >&-", 1, kStream},
    {"stdout_read_only", "$FELBO info --json 1</dev/null", 1, kStream},
    {"stderr_closed", "$FELBO $TRAIN never --hidden 0 2>&-", 2, ""},
    {"stderr_full", "$FELBO $TRAIN never --hidden 0 2>/dev/full", 2, ""},
    {"all_closed", "$FELBO $TRAIN never --hidden 0 <&- >&- 2>&-", 2, ""},
    {"folder_read_only", "x=$PWD; cd /proc && $FELBO train --data $x/x.npy --likelihood gaussian --out never",
     2, "never"},
    {"out_read_only", "$FELBO $TRAIN /proc/never", 2, "/proc/never"},
    {"out_in_a_device", "$FELBO $TRAIN /dev/null/never", 2, "/dev/null/never"},
    {"folder_gone",
     "mkdir gone && cd gone && rmdir ../gone && $FELBO train --data builtin:linear-gaussian "
     "--likelihood gaussian --hidden none --latent 1 --epochs 1 --out never",
     2, "never"},
    {"out_empty", "$FELBO $TRAIN ''", 2, "--out"},
    {"out_name_too_long", "$FELBO $TRAIN $(printf '%5000s' | tr ' ' a)", 2, "too long"},
    {"data_empty", "$FELBO train --data '' --out never", 2, "--data"},
    // The descriptors that the test itself was given are closed first.
    {"few_files", "for n in 3 4 5 6 7 8 9; do eval \"exec $n>&-\"; done; ulimit -n 4; $FELBO $TRAIN never", 1,
     "open files"},
    {"config_is_a_device", "$FELBO $TRAIN never --config /dev/null/x", 2, "--config"},
    {"config_is_endless", "timeout 60 $FELBO $TRAIN never --config /dev/zero", 2, "--config"},
};
INSTANTIATE_TEST_SUITE_P(Rows, Refused, ::testing::ValuesIn(kRefused), name_of_row);

class Harmless : public Environment {};
TEST_P(Harmless, AndTheBitsAreTheSame) {
  const Row& row = GetParam();
  if (beyond_sanitizers(row)) GTEST_SKIP() << "NOT CHECKED: the limit is too narrow for a sanitizer";
  const Outcome outcome = shell(row.script);
  EXPECT_EQ(outcome.status, row.status) << outcome.err;
  EXPECT_TRUE(has(outcome.err, row.word));
  EXPECT_EQ(different_files(timeless_files(*folder_ / "run"), timeless_files(*folder_ / "again")), Words());
  std::filesystem::remove_all(*folder_ / "again");
}

constexpr Row kHarmless[] = {
    {"nothing_set", "env -i $FELBO $TRAIN again", 0, ""},
    {"no_home", "env -u HOME $FELBO $TRAIN again", 0, ""},
    {"home_missing", "HOME=/none/at/all $FELBO $TRAIN again", 0, ""},
    {"tmpdir_missing", "TMPDIR=/none/at/all $FELBO $TRAIN again", 0, ""},
    {"threads_without_sense", "OMP_NUM_THREADS=abc $FELBO $TRAIN again", 0, ""},
    {"threads_negative", "OMP_NUM_THREADS=-3 $FELBO $TRAIN again", 0, ""},
    {"threads_other", "OMP_NUM_THREADS=1 $FELBO $TRAIN again", 0, ""},
    {"threads_limited", "OMP_THREAD_LIMIT=1 $FELBO $TRAIN again", 0, ""},
    {"threads_dynamic", "OMP_DYNAMIC=true $FELBO $TRAIN again", 0, ""},
    {"threads_nested", "OMP_NESTED=true OMP_MAX_ACTIVE_LEVELS=0 $FELBO $TRAIN again", 0, ""},
    {"schedule_without_sense", "OMP_SCHEDULE=wild GOMP_SPINCOUNT=many $FELBO $TRAIN again", 0, ""},
    {"pages", "GLIBC_TUNABLES=glibc.malloc.hugetlb=wild $FELBO $TRAIN again", 0, ""},
    {"waiting", "OMP_WAIT_POLICY=passive $FELBO $TRAIN again", 0, ""},
    {"small_stacks", "OMP_STACKSIZE=256k $FELBO $TRAIN again", 0, ""},
    {"bound_threads", "OMP_PROC_BIND=true OMP_PLACES=cores $FELBO $TRAIN again", 0, ""},
    {"german_numbers", "LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8 LC_NUMERIC=de_DE.UTF-8 $FELBO $TRAIN again", 0,
     ""},
    {"no_such_language", "LANG=xx LC_ALL=xx_XX.none $FELBO $TRAIN again", 0, ""},
    {"wide_terminal", "COLUMNS=99999999999 LINES=-1 $FELBO $TRAIN again", 0, ""},
    {"narrow_terminal", "COLUMNS=0 TERM=dumb $FELBO $TRAIN again", 0, ""},
    {"no_terminal", "env -u TERM $FELBO $TRAIN again", 0, ""},
    {"no_path", "p=$FELBO; PATH=/none $p $TRAIN again", 0, ""},
    {"time_zone", "TZ=:/etc/passwd $FELBO $TRAIN again", 0, ""},
    {"library_of_products", "DNNL_VERBOSE=0 ONEDNN_MAX_CPU_ISA=wild $FELBO $TRAIN again", 0, ""},
    {"stdin_closed", "$FELBO $TRAIN again <&-", 0, ""},
    {"stdin_full_of_noise", "$FELBO $TRAIN again </dev/urandom", 0, ""},
    {"stderr_closed", "$FELBO $TRAIN again 2>&-", 0, ""},
    {"stderr_full", "$FELBO $TRAIN again 2>/dev/full", 0, ""},
    {"stdout_closed", "$FELBO $TRAIN again >&-", 1, kStream},
    {"stdout_full", "$FELBO $TRAIN again >/dev/full", 1, kStream},
    {"all_closed", "$FELBO $TRAIN again <&- >&- 2>&-", 1, ""},
    {"umask", "umask 077; $FELBO $TRAIN again", 0, ""},
    {"symbolic_link", "mkdir real; ln -s real again; $FELBO $TRAIN again", 0, ""},
};
INSTANTIATE_TEST_SUITE_P(Rows, Harmless, ::testing::ValuesIn(kHarmless), name_of_row);

}  // namespace
}  // namespace felbo::cli
