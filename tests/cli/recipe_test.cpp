// The recipes run, and what they show is what they are there to show.
#include <cstdlib>

#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

/// "iwae-k5  149.68 +- 0.46 ..." -> 149.68.
double figure_of(const std::string& table, const std::string& model) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    double value = 0;
    if (words >> name >> value && name == model) return value;
  }
  ADD_FAILURE() << model << " is not in:\n" << table;
  return 0;
}

// Within one epoch on a small model the bound of 50 importance samples is ahead of the ELBO's by over a nat;
// the standard error of a difference between models on the same 4000 data is a tenth of that.
TEST(Recipe, IwaeTable1AtTheSizeOfATest) {
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  const TempFolder folder;
  const std::string table = folder / "table.txt", log = folder / "log.txt", runs = folder / "runs";
  const std::string command = std::string("bash ") + FELBO_SOURCE_DIR +
                              "/recipes/iwae-table1/run.sh --quick --out " + runs + " --felbo " +
                              FELBO_PROGRAM + " > " + table + " 2> " + log;
  ASSERT_EQ(std::system(command.c_str()), 0) << read_bytes(log);
  const std::string text = read_bytes(table);
  const double vae = figure_of(text, "vae-k1"), iwae_5 = figure_of(text, "iwae-k5"),
               iwae_50 = figure_of(text, "iwae-k50");
  for (const char* model : {"vae-k5", "vae-k50"}) EXPECT_GT(figure_of(text, model), 50);
  EXPECT_LT(iwae_50, vae - 0.5);
  EXPECT_LT(iwae_50, iwae_5);
}

// The same for two stochastic layers.
TEST(Recipe, IwaeTable1WithTwoLayersAtTheSizeOfATest) {
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  const TempFolder folder;
  const std::string table = folder / "table.txt", log = folder / "log.txt", runs = folder / "runs";
  const std::string command = std::string("bash ") + FELBO_SOURCE_DIR +
                              "/recipes/iwae-table1/run.sh --quick --layers 2 --out " + runs + " --felbo " +
                              FELBO_PROGRAM + " > " + table + " 2> " + log;
  ASSERT_EQ(std::system(command.c_str()), 0) << read_bytes(log);
  const std::string text = read_bytes(table);
  for (const char* model : {"vae2-k5", "vae2-k50", "iwae2-k5"}) EXPECT_GT(figure_of(text, model), 50);
  EXPECT_LT(figure_of(text, "iwae2-k50"), figure_of(text, "vae2-k1") - 0.5);
}

// A model with latents is ahead of the best without them by several nats, on data that were drawn with them.
TEST(Recipe, SparseCountsAtTheSizeOfATest) {
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  if (std::system((std::string(FELBO_PYTHON) + " -c 'import numpy' 2> /dev/null").c_str()) != 0)
    GTEST_SKIP() << "NOT CHECKED: numpy is not installed (scripts/install-deps.sh --test)";
  const TempFolder folder;
  const std::string table = folder / "table.txt", log = folder / "log.txt", out = folder / "out";
  const std::string command = std::string("bash ") + FELBO_SOURCE_DIR +
                              "/recipes/sparse-counts/run.sh --quick --out " + out + " --felbo " +
                              FELBO_PROGRAM + " --python " + FELBO_PYTHON;
  const std::string to_files = " > " + table + " 2> " + log;
  ASSERT_EQ(std::system((command + to_files).c_str()), 0) << read_bytes(log);
  // Once more: what is there is replaced.
  ASSERT_EQ(std::system((command + " --seed 1 > /dev/null 2> " + log).c_str()), 0) << read_bytes(log);
  std::istringstream lines(read_bytes(table));
  std::string header, data, likelihood;
  std::getline(lines, header);
  double elbo = 0, bound = 0, without = 0, megabytes = 0;
  int rows = 0;
  while (lines >> data >> likelihood >> elbo >> bound >> without >> megabytes) {
    ++rows;
    EXPECT_GT(elbo, without + 1) << data;
    EXPECT_GT(bound, elbo) << data;
  }
  EXPECT_EQ(rows, 2) << read_bytes(table);
}

TEST(Recipe, RefusesToStartWithoutDataOrFolder) {
  const std::string script = std::string("bash ") + FELBO_SOURCE_DIR + "/recipes/iwae-table1/run.sh";
  for (const char* words : {"", "--data x", "--out y"})
    EXPECT_EQ(WEXITSTATUS(std::system((script + " " + words + " 2> /dev/null").c_str())), 2) << words;
}

}  // namespace
}  // namespace felbo::cli
