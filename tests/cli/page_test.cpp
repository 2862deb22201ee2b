// A page of the guide whose figures and pictures are made by a script is what the program does now.
#include <cstdlib>

#include "host/report/png_writer.h"
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

namespace fs = std::filesystem;

struct PageRun {
  int status = -1;
  std::string said;
};

PageRun run_page(const TempFolder& folder, const std::string& words) {
  const std::string log = folder / "page.log";
  const std::string command = std::string("python3 ") + FELBO_SOURCE_DIR + "/scripts/run_page.py " + words +
                              " --felbo " + FELBO_PROGRAM + " > " + log + " 2>&1";
  const int status = std::system(command.c_str());
  return {WEXITSTATUS(status), read_bytes(log)};
}

TEST(Page, WhatIsPOfXIsWhatTheProgramDoes) {
  if (skip_long()) GTEST_SKIP() << "NOT CHECKED: FELBO_SKIP_LONG=1";
  const TempFolder folder;
  const PageRun run = run_page(folder, "");
  EXPECT_EQ(run.status, 0) << run.said;
  EXPECT_TRUE(has(run.said, " blocks agree"));
}

/// A page of one block, which prints two lines and makes a picture.
class SmallPage : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"docs/guide", "docs/images", "work"}) fs::create_directories(folder_ / name);
    draw("work/source.png", 0.5f);
    draw("docs/images/a.png", 0.5f);
  }

  void draw(const std::string& file, float grey) {
    const std::vector<float> tile{0.1f, grey, 0.9f, grey, grey, 0.3f};
    write_png_grid(folder_ / file, {{tile}, 2, 3, 1, 1});
  }

  /// The page with `command` and the output `shown`, run as it stands or with --write.
  PageRun run(const std::string& shown,
              const std::string& command = "printf 'ELBO -98.935 of 40 data\\nok\\n'",
              const std::string& words = "") {
    write_bytes(
        folder_ / "docs/guide/page.md",
        "Text.\n\n<!-- run: decimals within 0.1, whole numbers within 5 % -->\n\n    cp source.png \\\n"
        "        a.png\n    " +
            command + "\n\n" + shown + "\n<!-- end -->\n\n![A picture](../images/a.png)\n");
    const std::string page = folder_ / "docs/guide/page.md", work = folder_ / "work";
    return run_page(folder_, page + " --work " + work + words);
  }

  TempFolder folder_;
};

constexpr char kShown[] = "    ELBO -98.935 of 40 data\n    ok\n";

TEST_F(SmallPage, AgreesWithinItsMargins) {
  EXPECT_EQ(run(kShown).status, 0) << run(kShown).said;
  EXPECT_EQ(run("    ELBO -98.84 of 42 data\n    ok\n").status, 0);
}

TEST_F(SmallPage, EachDifferenceIsSeen) {
  for (const char* shown : {"    ELBO -98.82 of 40 data\n    ok\n", "    ELBO -98.935 of 43 data\n    ok\n",
                            "    ELBO -98.935 of 40 rows\n    ok\n",
                            "    ELBO -98.935 of 40 data\n    FAILED\n", "    ELBO -98.935 of 40 data\n",
                            "    ELBO 98.935 of 40 data\n    ok\n", "    ELBO nan of 40 data\n    ok\n"}) {
    const PageRun run = this->run(shown);
    EXPECT_EQ(run.status, 1) << shown;
    EXPECT_TRUE(has(run.said, "is not what the program does")) << run.said;
  }
}

TEST_F(SmallPage, EachDifferenceOfPicturesIsSeen) {
  draw("docs/images/a.png", 0.53f);  // half of the pixels by 8 of 255
  EXPECT_EQ(run(kShown).status, 0) << run(kShown).said;
  draw("docs/images/a.png", 0.6f);
  EXPECT_TRUE(has(run(kShown).said, "differs from"));
  EXPECT_EQ(run(kShown).status, 1);
  write_png_grid(folder_ / "docs/images/a.png", {{std::vector<float>(6, 0.5f)}, 3, 2, 1, 1});
  EXPECT_TRUE(has(run(kShown).said, "another size"));
  fs::remove(folder_ / "docs/images/a.png");
  EXPECT_TRUE(has(run(kShown).said, "does not exist"));
  fs::remove(folder_ / "work/a.png");
}

TEST_F(SmallPage, WritesWhatItFinds) {
  draw("work/source.png", 0.9f);
  EXPECT_EQ(run("    something else\n", "echo new", " --write").status, 0);
  const std::string page = read_bytes(folder_ / "docs/guide/page.md");
  EXPECT_TRUE(has(page, "    echo new\n\n    new\n\n<!-- end -->")) << page;
  EXPECT_EQ(read_bytes(folder_ / "docs/images/a.png"), read_bytes(folder_ / "work/source.png"));
}

TEST_F(SmallPage, FailsWithItsCommands) {
  const PageRun run = this->run(kShown, "felbo evaluate nowhere | cat");
  EXPECT_EQ(run.status, 1);
  EXPECT_TRUE(has(run.said, "exit status 2 of: felbo evaluate nowhere | cat")) << run.said;
  EXPECT_TRUE(has(run.said, "holds no run"));
}

TEST(Page, RefusesPagesWithNothingToRun) {
  const TempFolder folder;
  write_bytes(folder / "page.md", "Text.\n");
  const std::string page = folder / "page.md";
  EXPECT_TRUE(has(run_page(folder, page).said, "has no block to run"));
  write_bytes(folder / "page.md", "<!-- run: within 5 -->\n\n    echo 1\n\n    1\n\n<!-- end -->\n");
  EXPECT_TRUE(has(run_page(folder, page).said, "cannot read 'within 5'"));
  EXPECT_EQ(run_page(folder, page).status, 1);
}

}  // namespace
}  // namespace felbo::cli
