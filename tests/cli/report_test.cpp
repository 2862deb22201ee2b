// The pages of `felbo report`, as the program writes them and as a browser shows them.
#include <regex>

#include "tests/cli/browser.h"
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

class Reports : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder();
    write_bytes(*folder_ / "x.npy", picture_npy(300, 6, 5));
    train("a", {"--binarize", "threshold", "--seed", "0", "--track-gap", "1"});
    train("b", {"--binarize", "threshold", "--seed", "1", "--lr-schedule", "cosine"});
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static void train(const std::string& name, const Words& more) {
    const Outcome outcome = felbo(Words{"train", "--data", *folder_ / "x.npy", "--out", *folder_ / name,
                                        "--hidden", "16", "--latent", "3", "--epochs", "3"} +
                                  more);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  static std::string run(const std::string& name) { return *folder_ / name; }

  /// The words are refused with `part` in the message, and nothing is written.
  static void expect_refused(const Words& words, const std::string& part) {
    const auto before = snapshot(folder_->path());
    const Outcome outcome = felbo(words);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    EXPECT_TRUE(has(outcome.err, part));
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(before == snapshot(folder_->path())) << "something was written";
  }
  static TempFolder* folder_;
};
TempFolder* Reports::folder_ = nullptr;

TEST_F(Reports, OneRunGivesItsPage) {
  const json said = felbo_json({"report", run("a")});
  EXPECT_EQ(said["report"], run("a") + "/report.html");
  const std::string page = read_bytes(run("a") + "/report.html");
  EXPECT_EQ(said["bytes"], page.size());
  for (const char* part : {"KL of q(z|x) from p(z|x)", "data:image/png;base64,iVBORw0KGgo",
                           "threshold: at 0.5", "30 columns, hidden 16, latent 3", "not evaluated yet"})
    EXPECT_TRUE(has(page, part));
}

TEST_F(Reports, AnEvaluationIsShownOnceItIsSaved) {
  const json said = felbo_json({"evaluate", run("b"), "--samples", "30", "--save"});
  const json kept = json::parse(read_bytes(run("b") + "/evaluation.json"));
  for (const auto& [key, value] : said.items()) EXPECT_EQ(kept.at(key), value) << key;
  EXPECT_EQ(kept["epoch"], 3);
  EXPECT_EQ(kept["data"], (*folder_ / "x.npy").string());
  ASSERT_EQ(felbo({"report", run("b")}).status, 0);
  const std::string page = read_bytes(run("b") + "/report.html");
  EXPECT_TRUE(has(page, "KL by latent dimension"));
  EXPECT_TRUE(has(page, "with 30 samples"));
  EXPECT_FALSE(has(page, "not evaluated yet"));
}

TEST_F(Reports, SeveralRunsGoOnOnePage) {
  ASSERT_EQ(felbo({"report", run("a"), run("b"), "--out", *folder_ / "both.html"}).status, 0);
  const std::string page = read_bytes(*folder_ / "both.html");
  for (const char* part :
       {"2 runs", "<h3>ELBO, held-out</h3>", "--seed (differs)", "--lr-schedule (differs)"})
    EXPECT_TRUE(has(page, part));
}

TEST_F(Reports, BadRequestsWriteNothing) {
  expect_refused({"report", run("a"), run("b")}, "--out FILE.html is missing");
  expect_refused({"report", run("a"), run("a") + "/.", "--out", *folder_ / "x.html"}, "named twice");
  expect_refused({"report", run("a"), "--out", *folder_ / "x.pdf"}, "must end in .html");
  expect_refused({"report", run("a"), "--out", *folder_ / "none/x.html"}, "there is no folder");
  expect_refused({"report", run("nothing")}, "no such folder");
  expect_refused({"report", folder_->path()}, "holds no run");
  train("c", {"--likelihood", "gaussian"});
  expect_refused({"report", run("a"), run("c"), "--out", *folder_ / "x.html"}, "cannot be compared");
  write_bytes(run("c") + "/metrics.jsonl", "{\"epoch\":1,\"elbo\":null}\n");
  expect_refused({"report", run("c")}, "metrics.jsonl, line 1");
}

TEST_F(Reports, AReplacedRunLeavesNoOldReport) {
  train("d", {});
  ASSERT_EQ(felbo({"evaluate", run("d"), "--save"}).status, 0);
  ASSERT_EQ(felbo({"report", run("d")}).status, 0);
  train("d", {"--force"});
  EXPECT_FALSE(std::filesystem::exists(run("d") + "/report.html"));
  EXPECT_FALSE(std::filesystem::exists(run("d") + "/evaluation.json"));
}

TEST_F(Reports, BenchmarksGoOnAPageToo) {
  const std::string page = *folder_ / "bench.html", out = *folder_ / "bench.json";
  const json said = felbo_json({"bench", "kernels", "--filter", "^adam/|^dense/.*relu|^noise/",
                                "--repetitions", "2", "--out", out, "--report", page});
  EXPECT_EQ(json::parse(read_bytes(out)), said);
  EXPECT_GT(said["peaks"]["gb_per_s"], 0.0);
  EXPECT_GT(said["peaks"]["gflop_per_s"], 0.0);
  EXPECT_GT(said["peaks"]["gword_per_s"], 0.0);
  const double gb = said["peaks"]["gb_per_s"], gflop = said["peaks"]["gflop_per_s"],
               gword = said["peaks"]["gword_per_s"];
  int judged = 0;
  for (const json& row : said["results"]) {
    if (row["name"] == "memory/copy") continue;
    const double bytes = row["bytes"], flops = row["flops"], words = row.value("words", 0.0);
    EXPECT_GT(flops, 0.0) << row;
    EXPECT_EQ(words > 0.0, row["name"] == "noise/normal_fill") << row;
    // The lowest of the roofs, whichever that is on this machine at this moment.
    const double computing = flops / gflop, moving = bytes / gb, making = words / gword;
    const std::string roof = computing > std::max(moving, making) ? "arithmetic"
                             : making > moving                    ? "noise"
                             : row["in_cache"].get<bool>()        ? ""
                                                                  : "memory";
    EXPECT_EQ(row.value("roof", ""), roof) << row;
    if (roof.empty()) continue;
    // Measured once more beside the row; a machine's speed does not drift by more than this within one run.
    const double rate = row["roof_rate"], seconds = row["seconds"];
    const double at_start = roof == "arithmetic" ? gflop : roof == "noise" ? gword : gb;
    EXPECT_GT(rate, at_start / 20.0) << row;
    EXPECT_LT(rate, at_start * 20.0) << row;
    const double amount = roof == "arithmetic" ? flops : roof == "noise" ? words : bytes;
    const double share = 1e-9 * amount / rate / seconds;
    EXPECT_NEAR(row["roofline"].get<double>(), share, 1e-9 * share) << row;
    ++judged;
  }
  EXPECT_GE(judged, 1);
  EXPECT_TRUE(has(read_bytes(page), "<h3>Roofline</h3>"));
  expect_refused({"bench", "kernels", "--report", *folder_ / "x.txt"}, "must end in .html");
  expect_refused({"bench", "kernels", "--out", *folder_ / "none/x.json"}, "there is no folder");
  FELBO_NEEDS_BROWSER();
  for (const int width : {360, 1400}) expect_sound_page(*folder_, "bench.html", width, "GFLOP/s");
}

TEST_F(Reports, ABrowserShowsThePageWhole) {
  FELBO_NEEDS_BROWSER();
  ASSERT_EQ(felbo({"report", run("a"), "--out", *folder_ / "one.html"}).status, 0);
  ASSERT_EQ(felbo({"report", run("a"), run("b"), "--out", *folder_ / "two.html"}).status, 0);
  for (const char* page : {"one.html", "two.html"}) {
    for (const int width : {360, 800, 1400}) {
      SCOPED_TRACE(std::string(page) + ", " + std::to_string(width) + " pixels wide");
      expect_sound_page(*folder_, page, width, "nats a datum");
    }
  }
}

TEST_F(Reports, TheBrowserTestSeesWhatIsWrong) {
  FELBO_NEEDS_BROWSER();
  const std::string head =
      "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>";
  const std::string svg =
      "<svg viewBox='0 0 9 9' width=50 height=50><title>t</title><path d='M0 0L9 9'/></svg>";
  const std::pair<const char*, std::string> pages[] = {
      {"overflow", head + svg + "<div style='width:500px'>x</div>"},
      {"request", head + svg + "<img src='http://felbo.invalid/x.png'>"},
      {"console", head + svg + "<script>console.error('bad')</script>"},
      {"picture", head + svg + "<img src='data:image/png;base64,AAAA'>"},
      {"empty", head + "<svg viewBox='0 0 9 9' width=50 height=50><title>t</title></svg>"}};
  for (const auto& [what, text] : pages) {
    write_bytes(*folder_ / "bad.html", text);
    EXPECT_FALSE(look_at(*folder_, "bad.html", 360).complaints.empty()) << what;
  }
  write_bytes(*folder_ / "good.html", head + svg + "<p>words</p>");
  EXPECT_EQ(look_at(*folder_, "good.html", 360).complaints, Words());
}

}  // namespace
}  // namespace felbo::cli
