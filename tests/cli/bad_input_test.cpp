// Every bad request ends with status 2, a message that says what, where and what was expected, nothing on
// standard output and nothing written.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

using test::big_endian;
using test::floats;
using test::gzip;
using test::idx;
using test::npy;
using test::ramp;

/// A request with words that its message must hold. Arguments have one blank between them, words a semicolon
/// and a blank; `~` stands for the folder of the test's files. Plain text, because a table of this length
/// made of strings and vectors takes a compiler minutes.
struct Case {
  const char* name;
  const char* arguments;
  const char* words;
};

/// The parts of `text` between separators; none of an empty text.
Words split(const std::string& text, const std::string& separator) {
  Words parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  return parts;
}

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

std::string with_nan(float value) {
  std::vector<float> values = random_floats(300 * 12, -1, 1);
  values[7 * 12 + 3] = value;
  return npy("<f4", "(300, 12)", floats(values));
}

class BadInput : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    write_data();
    write_runs();
    write_damaged_runs();
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void TearDown() override { std::filesystem::remove_all(*folder_ / "never"); }

  static std::string in_folder(const std::string& text) {
    std::string result;
    for (const char c : text) result += c == '~' ? folder_->path().string() : std::string(1, c);
    return result;
  }

  static void write(const std::string& name, const std::string& bytes) {
    write_bytes(*folder_ / name, bytes);
  }

  static void write_data() {
    const std::string pictures = idx(8, {300, 4, 3}, ramp(3600));
    std::string flipped = gzip(pictures);
    flipped[flipped.size() - 6] ^= 0x10;  // in the checksum
    write("good.npy", float_npy(300, 12, 0, 1));
    write("wide.npy", float_npy(300, 13, 0, 1));
    write("signed.npy", float_npy(300, 12, -1, 1));
    write("grey.npy", picture_npy(300, 4, 3));
    write("many.npy", npy("|u1", "(6000, 2)", random_bytes(12000)));
    write("one.npy", float_npy(1, 12, 0, 1));
    write("cut.idx", pictures.substr(0, 3000));
    write("cut_header.idx", pictures.substr(0, 9));
    write("cut.gz", gzip(pictures).substr(0, 200));
    write("flipped.gz", flipped);
    write("long.idx", pictures + "xyz");
    write("claims.idx", idx(8, {1000000, 28, 28}, ramp(3600)));
    write("overflow.idx", idx(8, {0xffffffffu, 0xffffffffu, 0xffffffffu}, ramp(10)));
    write("overflow.npy", npy("|u1", "(4611686018427387904, 4)", ramp(10)));
    write("zero.idx", idx(8, {0, 28, 28}, ""));
    write("zero.npy", npy("<f4", "(0, 12)", ""));
    write("no_columns.npy", npy("<f4", "(12, 0)", ""));
    write("labels.idx", idx(8, {300}, ramp(300)));
    write("int16.idx", idx(0x0b, {4, 4}, ramp(32)));
    write("text.csv", "1,2,3\n4,5,6\n");
    write("empty.npy", "");
    write("fortran.npy", npy("<f4", "(300, 12)", std::string(14400, '\0'), 1, "True"));
    write("float64.npy", npy("<f8", "(4, 4)", std::string(128, '\0')));
    write("big_endian.npy", npy(">f4", "(4, 4)", std::string(64, '\0')));
    write("four.npy", npy("|u1", "(2, 2, 2, 2)", ramp(16)));
    write("cut.npy", float_npy(300, 12, 0, 1).substr(0, 5000));
    write("malformed.npy", test::npy_with_header(1, "{'descr': 3}\n", ramp(16)));
    write("nan.npy", with_nan(std::numeric_limits<float>::quiet_NaN()));
    write("inf.npy", with_nan(-std::numeric_limits<float>::infinity()));
    std::filesystem::create_directory(*folder_ / "nothing");
    std::filesystem::create_directory(*folder_ / "disagree");
    write("disagree/train-images-idx3-ubyte", pictures);
    write("disagree/t10k-images-idx3-ubyte.gz", gzip(idx(8, {30, 4, 4}, ramp(480))));
  }

  static void train(const std::string& name, const Words& flags) {
    felbo_json(Words{"train", "--out", *folder_ / name, "--hidden", "16", "--latent", "3", "--epochs", "2",
                     "--batch", "32", "--threads", "1"} +
               flags);
  }

  static void write_runs() {
    train("run", {"--data", *folder_ / "good.npy", "--likelihood", "gaussian"});
    train("grey", {"--data", *folder_ / "grey.npy", "--binarize", "dynamic"});
    // Other data of the same size, since the run began.
    write("swapped.npy", float_npy(300, 12, 0, 1));
    train("swapped", {"--data", *folder_ / "swapped.npy", "--likelihood", "gaussian"});
    write("swapped.npy", float_npy(300, 12, -1, 1));
    train("linear", {"--data", "builtin:linear-gaussian", "--likelihood", "gaussian"});
  }

  static void damaged(const std::string& name, const std::string& checkpoint) {
    std::filesystem::create_directory(*folder_ / name);
    write(name + "/checkpoint.safetensors", checkpoint);
  }

  static void write_damaged_runs() {
    const std::string whole = read_bytes(*folder_ / "run/checkpoint.safetensors");
    std::string tensor = whole, header = whole;
    tensor[tensor.size() - 100] ^= 1;
    header[header.find("epoch") + 2] ^= 1;
    damaged("tensor_flipped", tensor);
    damaged("header_flipped", header);
    damaged("cut_short", whole.substr(0, whole.size() - 50));
    damaged("cut_in_header", whole.substr(0, 100));
    damaged("cut_to_nothing", "");
    damaged("not_safetensors", read_bytes(*folder_ / "good.npy"));
    damaged("no_metadata", edited_checkpoint(whole, [](json& h, std::string&) { h.erase("__metadata__"); }));
    damaged("other_format",
            edited_checkpoint(whole, [](json& h, std::string&) { h["__metadata__"]["format"] = "pt"; }));
    damaged("other_model", edited_checkpoint(whole, [](json& h, std::string&) {
              std::string config = h["__metadata__"]["config"];
              h["__metadata__"]["config"] = config.replace(config.find("latent = 3"), 10, "latent = 4");
            }));
    damaged("other_config", edited_checkpoint(whole, [](json& h, std::string&) {
              h["__metadata__"]["config"] = "latent = 3\nwings = 2\n";
            }));
    damaged("missing_tensor", edited_checkpoint(whole, [](json& h, std::string&) {
              h["renamed"] = h["adam.v.decoder.0.bias"];
              h.erase("adam.v.decoder.0.bias");
            }));
    damaged("no_count",
            edited_checkpoint(whole, [](json& h, std::string&) { h["__metadata__"]["step"] = "-3"; }));
    const auto with_metadata = [&](const char* name, const char* key, const char* value) {
      damaged(name, edited_checkpoint(whole, [=](json& h, std::string&) { h["__metadata__"][key] = value; }));
    };
    with_metadata("sums_missing", "epoch_steps", "1");
    with_metadata("best_no_number", "best_elbo", "good");
    with_metadata("ledger_no_json", "ledger", "{");
    with_metadata("future_format", "format", "felbo-checkpoint-3");
    damaged("extra_tensor", edited_checkpoint(whole, [](json& h, std::string&) {
              h["wings"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
            }));
    damaged("hole", edited_checkpoint(whole, [](json& h, std::string&) {
              h["encoder.0.bias"]["data_offsets"] = h["adam.m.encoder.0.bias"]["data_offsets"];
            }));
    damaged("double_precision",
            edited_checkpoint(whole, [](json& h, std::string&) { h["encoder.0.bias"]["dtype"] = "F64"; }));
    std::filesystem::create_directory(*folder_ / "begun");
    write("begun/config.toml", read_bytes(*folder_ / "run/config.toml"));
  }

  static std::unique_ptr<TempFolder> folder_;
};

std::unique_ptr<TempFolder> BadInput::folder_;

TEST_P(BadInput, IsRefused) {
  const Case& c = GetParam();
  const auto before = snapshot(folder_->path());
  ASSERT_GT(before.size(), 40u);
  const Outcome outcome = felbo(split(in_folder(c.arguments), " "));
  EXPECT_EQ(outcome.status, 2) << "signal " << outcome.signal << "\n" << outcome.err;
  EXPECT_EQ(outcome.out, "");
  const Words words = split(in_folder(c.words), "; ");
  ASSERT_FALSE(words.empty());
  for (const std::string& word : words) EXPECT_TRUE(has(outcome.err, word));
  EXPECT_TRUE(before == snapshot(folder_->path())) << "something was written";
}

std::string name_of_case(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

/// Data that cannot be read, or cannot be the likelihood's.
constexpr Case kData[] = {
    {"missing", "train --likelihood gaussian --data ~/none.npy --out ~/never", "~/none.npy; no such file"},
    {"folder_of_nothing", "train --likelihood gaussian --data ~/nothing --out ~/never",
     "~/nothing; no training images"},
    {"parts_disagree", "train --likelihood gaussian --data ~/disagree --out ~/never",
     "~/disagree; 4 x 4; 4 x 3"},
    {"device", "train --likelihood gaussian --data /dev/null --out ~/never", "/dev/null; not a regular file"},
    {"truncated_idx", "train --likelihood gaussian --data ~/cut.idx --out ~/never",
     "~/cut.idx; 3600; 2984; truncated"},
    {"truncated_idx_header", "train --likelihood gaussian --data ~/cut_header.idx --out ~/never",
     "~/cut_header.idx; header; truncated"},
    {"truncated_gzip", "train --likelihood gaussian --data ~/cut.gz --out ~/never",
     "~/cut.gz; gzip; truncated; byte 200"},
    {"damaged_gzip", "train --likelihood gaussian --data ~/flipped.gz --out ~/never",
     "~/flipped.gz; corrupt gzip"},
    {"truncated_npy", "train --likelihood gaussian --data ~/cut.npy --out ~/never", "~/cut.npy; truncated"},
    {"bytes_after_the_data", "train --likelihood gaussian --data ~/long.idx --out ~/never",
     "~/long.idx; 3 bytes follow"},
    {"sizes_beyond_the_file", "train --likelihood gaussian --data ~/claims.idx --out ~/never",
     "~/claims.idx; 784000000; truncated"},
    {"sizes_that_overflow", "train --likelihood gaussian --data ~/overflow.idx --out ~/never",
     "~/overflow.idx; more than any file holds"},
    {"npy_sizes_that_overflow", "train --likelihood gaussian --data ~/overflow.npy --out ~/never",
     "~/overflow.npy; more than any file holds"},
    {"zero_rows_idx", "train --likelihood gaussian --data ~/zero.idx --out ~/never", "~/zero.idx; no rows"},
    {"zero_rows_npy", "train --likelihood gaussian --data ~/zero.npy --out ~/never", "~/zero.npy; no rows"},
    {"zero_columns", "train --likelihood gaussian --data ~/no_columns.npy --out ~/never",
     "~/no_columns.npy; no columns"},
    {"labels", "train --likelihood gaussian --data ~/labels.idx --out ~/never",
     "~/labels.idx; 1 dimension; labels"},
    {"idx_of_int16", "train --likelihood gaussian --data ~/int16.idx --out ~/never",
     "~/int16.idx; int16; byte 2"},
    {"wrong_magic", "train --likelihood gaussian --data ~/text.csv --out ~/never",
     "~/text.csv; begins with 31 2c 32 2c; expected"},
    {"empty_file", "train --likelihood gaussian --data ~/empty.npy --out ~/never", "~/empty.npy; empty"},
    {"fortran_order", "train --likelihood gaussian --data ~/fortran.npy --out ~/never",
     "~/fortran.npy; Fortran order; ascontiguousarray"},
    {"float64", "train --likelihood gaussian --data ~/float64.npy --out ~/never",
     "~/float64.npy; <f8; float32"},
    {"big_endian", "train --likelihood gaussian --data ~/big_endian.npy --out ~/never",
     "~/big_endian.npy; >f4; <f4"},
    {"four_dimensions", "train --likelihood gaussian --data ~/four.npy --out ~/never",
     "~/four.npy; 4 dimensions"},
    {"malformed_npy", "train --likelihood gaussian --data ~/malformed.npy --out ~/never",
     "~/malformed.npy; malformed"},
    {"nan", "train --likelihood gaussian --data ~/nan.npy --out ~/never", "~/nan.npy; row 7; column 3; nan"},
    {"infinity", "train --likelihood gaussian --data ~/inf.npy --out ~/never",
     "~/inf.npy; row 7; column 3; inf"},
    {"unknown_builtin", "train --likelihood gaussian --data builtin:nothing --out ~/never",
     "builtin:nothing; builtin:glyphs"},
    {"builtin_seed", "train --likelihood gaussian --data builtin:glyphs:x --out ~/never",
     "builtin:glyphs:x; seed"},
    {"one_row", "train --likelihood gaussian --data ~/one.npy --out ~/never", "~/one.npy; 0 to judge by"},
    {"outside_0_1_for_bernoulli", "train --data ~/signed.npy --out ~/never",
     "~/signed.npy; -1; Bernoulli; [0, 1]"},
    {"no_data", "train --out ~/never", "--data; missing"},
    {"fraction_of_a_set_with_a_test_part",
     "train --data builtin:linear-gaussian --likelihood gaussian --valid-fraction 0.2 --out ~/never",
     "--valid-fraction 0.2; builtin:linear-gaussian has a test part of its own; for sets without one"},
};
INSTANTIATE_TEST_SUITE_P(Data, BadInput, ::testing::ValuesIn(kData), name_of_case);

/// Flags whose values cannot be.
constexpr Case kFlags[] = {
    {"unknown", "train --data ~/grey.npy --binarize dynamic --out ~/never --wings 2", "--wings"},
    {"stray_word", "train --data ~/grey.npy --binarize dynamic --out ~/never fast", "fast"},
    {"no_value", "train --data ~/grey.npy --binarize dynamic --out ~/never --latent", "--latent"},
    {"twice", "train --data ~/grey.npy --binarize dynamic --out ~/never --latent 3 --latent 4", "--latent"},
    {"hidden_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --hidden 0", "--hidden; got 0"},
    {"hidden_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --hidden=-5",
     "--hidden; -5"},
    {"hidden_text", "train --data ~/grey.npy --binarize dynamic --out ~/never --hidden abc", "--hidden; abc"},
    {"hidden_absurd", "train --data ~/grey.npy --binarize dynamic --out ~/never --hidden 1000000000000",
     "--hidden; 1000000000000"},
    {"hidden_exponent", "train --data ~/grey.npy --binarize dynamic --out ~/never --hidden 1e12",
     "--hidden; 1e12"},
    {"hidden_list", "train --data ~/grey.npy --binarize dynamic --out ~/never --hidden 16,", "--hidden; 16,"},
    {"hidden_list_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --hidden 16,0,4",
     "--hidden; got 0"},
    {"latent_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --latent 0", "--latent; got 0"},
    {"latent_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --latent=-1",
     "--latent; -1"},
    {"latent_absurd", "train --data ~/grey.npy --binarize dynamic --out ~/never --latent 1000000000000",
     "--latent"},
    {"latent_beyond_64_bits",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --latent 99999999999999999999", "--latent"},
    {"latent_text", "train --data ~/grey.npy --binarize dynamic --out ~/never --latent few", "--latent; few"},
    {"latent_fraction", "train --data ~/grey.npy --binarize dynamic --out ~/never --latent 2.5",
     "--latent; 2.5"},
    {"batch_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --batch 0", "--batch; got 0"},
    {"batch_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --batch=-1", "--batch; -1"},
    {"batch_absurd", "train --data ~/grey.npy --binarize dynamic --out ~/never --batch 100000000000",
     "--batch"},
    {"epochs_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --epochs 0", "epochs; 0"},
    {"epochs_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --epochs=-1", "epochs; -1"},
    {"epochs_absurd", "train --data ~/grey.npy --binarize dynamic --out ~/never --epochs 100000000000",
     "--epochs"},
    {"epochs_text", "train --data ~/grey.npy --binarize dynamic --out ~/never --epochs soon",
     "--epochs; soon"},
    {"samples_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --samples 0", "--samples; got 0"},
    {"samples_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --samples=-3",
     "--samples; -3"},
    {"samples_absurd", "train --data ~/grey.npy --binarize dynamic --out ~/never --samples 100000000000",
     "--samples"},
    {"lr_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --lr 0", "rate; 0"},
    {"lr_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --lr=-1", "rate; -1"},
    {"lr_nan", "train --data ~/grey.npy --binarize dynamic --out ~/never --lr nan", "rate; nan"},
    {"lr_inf", "train --data ~/grey.npy --binarize dynamic --out ~/never --lr inf", "rate; inf"},
    {"beta_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --beta=-1", "--beta; -1"},
    {"beta_nan", "train --data ~/grey.npy --binarize dynamic --out ~/never --beta nan", "--beta; nan"},
    {"adam_beta1", "train --data ~/grey.npy --binarize dynamic --out ~/never --adam-beta1 1",
     "--adam-beta1; 1"},
    {"adam_beta2", "train --data ~/grey.npy --binarize dynamic --out ~/never --adam-beta2=-0.1",
     "--adam-beta2; -0.1"},
    {"adam_epsilon", "train --data ~/grey.npy --binarize dynamic --out ~/never --adam-epsilon 0",
     "--adam-epsilon; 0"},
    {"clip_norm", "train --data ~/grey.npy --binarize dynamic --out ~/never --clip-norm=-1",
     "--clip-norm; -1"},
    {"on_nonfinite", "train --data ~/grey.npy --binarize dynamic --out ~/never --on-nonfinite ignore",
     "--on-nonfinite; stop or skip; ignore"},
    {"data_on", "train --data ~/grey.npy --binarize dynamic --out ~/never --data-on gpu",
     "--data-on; auto, device or host; gpu"},
    {"valid_fraction", "train --data ~/grey.npy --binarize dynamic --out ~/never --valid-fraction 1",
     "hold out; 1"},
    {"valid_fraction_nan", "train --data ~/grey.npy --binarize dynamic --out ~/never --valid-fraction nan",
     "hold out; nan"},
    {"activation", "train --data ~/grey.npy --binarize dynamic --out ~/never --activation swoosh",
     "swoosh; relu"},
    {"likelihood", "train --data ~/grey.npy --binarize dynamic --out ~/never --likelihood poison",
     "poison; bernoulli"},
    {"posterior", "train --data ~/grey.npy --binarize dynamic --out ~/never --posterior flow",
     "--posterior; flow; diagonal-gaussian"},
    {"prior", "train --data ~/grey.npy --binarize dynamic --out ~/never --prior vampire",
     "--prior; vampire; standard-normal"},
    {"objective", "train --data ~/grey.npy --binarize dynamic --out ~/never --objective luck",
     "--objective; luck; elbo"},
    {"variance_under_bernoulli",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --variance learned",
     "--variance; gaussian; bernoulli"},
    {"variance",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --likelihood gaussian --variance some",
     "some; per-element"},
    {"variance_0",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --likelihood gaussian --variance fixed:0",
     "fixed:V; got 0"},
    {"variance_negative",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --likelihood gaussian --variance fixed:-1",
     "fixed:V; got -1"},
    {"clamp_one_bound", "train --data ~/grey.npy --binarize dynamic --out ~/never --log-var-clamp 5",
     "--log-var-clamp; 5"},
    {"clamp_order", "train --data ~/grey.npy --binarize dynamic --out ~/never --log-var-clamp 3,1",
     "--log-var-clamp; 3,1"},
    {"schedule", "train --data ~/grey.npy --binarize dynamic --out ~/never --lr-schedule zigzag",
     "zigzag; cosine"},
    {"schedule_stages", "train --data ~/grey.npy --binarize dynamic --out ~/never --lr-schedule stages:9",
     "stages:9"},
    {"schedule_and_epochs",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --lr-schedule stages:2@1e-3 --epochs 5",
     "2; 5"},
    {"schedule_and_lr",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --lr-schedule stages:2@1e-3 --lr 1",
     "--lr; rates of its own"},
    {"warmup_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --warmup-epochs=-1",
     "warm-up; -1"},
    {"warmup_longer_than_run",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --warmup-epochs 9 --epochs 2", "warm-up; 9"},
    {"save_steps_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --save-steps=-1",
     "--save-steps; -1"},
    {"save_steps_text", "train --data ~/grey.npy --binarize dynamic --out ~/never --save-steps often",
     "--save-steps; often"},
    {"keep_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --keep 0", "--keep; got 0"},
    {"keep_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --keep=-2", "--keep; -2"},
    {"save_every_0", "train --data ~/grey.npy --binarize dynamic --out ~/never --save-every 0",
     "--save-every; 0"},
    {"threads_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --threads=-1",
     "threads; -1"},
    {"threads_absurd", "train --data ~/grey.npy --binarize dynamic --out ~/never --threads 99999",
     "threads; 99999"},
    {"seed_negative", "train --data ~/grey.npy --binarize dynamic --out ~/never --seed=-1", "--seed; -1"},
    {"seed_text", "train --data ~/grey.npy --binarize dynamic --out ~/never --seed lucky", "--seed; lucky"},
    {"device", "train --data ~/grey.npy --binarize dynamic --out ~/never --device tpu", "--device; tpu; cpu"},
    {"precision", "train --data ~/grey.npy --binarize dynamic --out ~/never --precision fp64",
     "--precision; fp64; fp32"},
    {"precision_of_the_cpu",
     "train --data ~/grey.npy --binarize dynamic --out ~/never --device cpu --precision tf32",
     "--precision tf32 needs a GPU; --device cpu; --precision fp32"},
    {"events", "train --data ~/grey.npy --binarize dynamic --out ~/never --events wandb",
     "--events; wandb; tensorboard"},
    {"memory", "train --data ~/grey.npy --binarize dynamic --out ~/never --hidden 1000000,1000000",
     "GiB; --hidden"},
    {"binarize", "train --data ~/grey.npy --binarize perhaps --out ~/never", "--binarize; perhaps; dynamic"},
    {"more_steps_than_noise",
     "train --data ~/many.npy --binarize dynamic --out ~/never --batch 1 --epochs 1000000",
     "1000000 epochs; 5400 steps"},
    {"no_verb", "", "subcommand"},
    {"unknown_verb", "dream", "dream"},
    {"check_stray_word", "check adam", "adam"},
    {"check_device", "check --device tpu", "--device; tpu; cpu"},
    {"check_threads", "check --threads=-1", "threads; -1"},
    {"check_filter", "check --filter (adam", "--filter; (adam; regular expression"},
    {"check_of_nothing", "check --filter luck --device cpu", "--filter; luck; matches no check"},
    {"bench_of_nothing", "bench luck", "luck; kernels"},
    {"bench_repetitions", "bench --repetitions 0", "--repetitions; 0"},
    {"bench_gemm_filter", "bench gemm --filter adam", "--filter; bench kernels; not with bench gemm"},
    {"bench_step_filter", "bench step --filter 784-501", "--filter; 784-501; no step"},
    {"bench_scaling_filter", "bench scaling --filter Q", "--filter; 'Q'; scaling/B"},
    {"bench_step_shape_of_words", "bench step --shape 784-a-20", "--hidden; 'a'"},
    {"bench_step_shape_of_one", "bench step --shape 784", "--shape 784; X-H-Z"},
    {"bench_step_shape_without_dimensions", "bench step --shape -500-20", "--shape; dimensions"},
    {"bench_step_shape_too_large", "bench step --shape 784-60000-60000-60000-60000-20 --batch 1000000",
     "need about; GiB; this machine has"},
    {"bench_step_batch_of_no_shape", "bench step --batch 64", "--batch; --shape"},
    {"bench_kernels_shape", "bench kernels --shape 784-500-20", "--shape; bench step"},
    {"bench_step_expression", "bench step --filter (", "--filter; regular expression"},
    {"bench_train_target_nan", "bench train --data ~/grey.npy --binarize dynamic --target -90 nan",
     "--target nan; finite"},
    {"bench_train_target_text", "bench train --data ~/grey.npy --binarize dynamic --target best",
     "--target; best"},
    {"bench_train_target_missing", "bench train --data ~/grey.npy --binarize dynamic --target", "--target"},
    {"bench_train_no_epochs", "bench train --data ~/grey.npy --binarize dynamic --epochs 0", "--epochs; 0"},
    {"bench_train_data", "bench train --data ~/none.npy", "~/none.npy"},
    {"bench_train_domain", "bench train --data ~/signed.npy", "~/signed.npy; [0, 1]"},
    {"bench_train_run", "bench train --data ~/grey.npy --binarize dynamic --keep 2",
     "--keep; bench train; no run"},
    {"bench_train_device", "bench train --data ~/grey.npy --binarize dynamic --device tpu",
     "--device; tpu; cpu"},
    {"bench_train_out", "bench train --data ~/grey.npy --binarize dynamic --out ~/x.txt", "x.txt; .json"},
    {"bench_train_flags_before", "bench --threads 1 train", "--threads; before train"},
    {"bench_train_and_more", "bench step train", "WHAT; before train"},
    {"bench_train_of_what", "bench train luck", "luck"},
    {"bench_noise_filter", "bench noise --filter adam", "--filter; not with bench noise"},
    {"bench_kernels_op", "bench kernels --op adm", "--op; 'adm'; adam, conditional_gaussian"},
    {"bench_kernels_filter", "bench kernels --filter luck", "--filter; luck; matches no benchmark"},
    {"bench_kernels_shapes", "bench kernels --shapes many", "--shapes many; usual, grid or full"},
    {"bench_step_hot", "bench step --hot", "--hot; not with bench step"},
    {"bench_step_reference", "bench step --reference", "--reference; bench kernels; not with bench step"},
    {"bench_noise_op", "bench noise --op adam", "--op; not with bench noise"},
    {"bench_step_repetitions", "bench step --repetitions 5", "--repetitions; bench kernels; bench step"},
};
INSTANTIATE_TEST_SUITE_P(Flags, BadInput, ::testing::ValuesIn(kFlags), name_of_case);

/// Requests about where a run is or goes.
constexpr Case kRuns[] = {
    {"no_out", "train --data ~/good.npy", "--out; missing"},
    {"out_is_a_file", "train --data ~/good.npy --out ~/grey.npy", "~/grey.npy; not a folder"},
    {"out_below_a_file", "train --data ~/good.npy --out ~/grey.npy/run", "~/grey.npy/run"},
    {"out_holds_a_run", "train --data ~/good.npy --out ~/run", "~/run; another run; --force; --resume"},
    {"force_with_bad_data", "train --data ~/nan.npy --likelihood gaussian --out ~/run --force", "row 7"},
    {"force_with_bad_flags", "train --data ~/good.npy --out ~/run --force --hidden 0", "--hidden"},
    {"resume_nothing", "train --resume ~/nothing", "~/nothing; holds no run"},
    {"resume_missing", "train --resume ~/none", "~/none; holds no run"},
    {"resume_begun", "train --resume ~/begun", "~/begun; before its first checkpoint"},
    {"resume_damaged", "train --resume ~/tensor_flipped", "damaged; checksum"},
    {"evaluate_missing", "evaluate ~/none", "~/none; holds no run"},
    {"evaluate_no_run_named", "evaluate", "RUN"},
    {"evaluate_samples_0", "evaluate ~/run --samples 0", "samples; 0"},
    {"evaluate_samples_negative", "evaluate ~/run --samples=-1", "samples; -1"},
    {"evaluate_samples_absurd", "evaluate ~/run --samples 999999999999", "samples"},
    {"evaluate_width", "evaluate ~/run --data ~/wide.npy", "~/wide.npy; 13 columns; 12"},
    {"evaluate_domain", "evaluate ~/grey --data ~/signed.npy", "~/signed.npy; [0, 1]"},
    {"evaluate_data_missing", "evaluate ~/run --data ~/none.npy", "~/none.npy"},
    {"evaluate_no_test", "evaluate ~/run --split test", "--split test; train and valid"},
    {"evaluate_no_valid", "evaluate ~/linear --split valid", "--split valid; train and test"},
    {"evaluate_split", "evaluate ~/run --split all", "--split all"},
    {"evaluate_threads", "evaluate ~/run --threads=-2", "threads; -2"},
    {"evaluate_device", "evaluate ~/run --device tpu", "--device; tpu"},
    {"evaluate_seed", "evaluate ~/run --seed=-1", "--seed; -1; whole number"},
    {"evaluate_flag", "evaluate ~/run --wings 2", "--wings"},
    {"checkpoint_tensor_flipped", "evaluate ~/tensor_flipped", "tensors are damaged; checksum"},
    {"checkpoint_header_flipped", "evaluate ~/header_flipped", "~/header_flipped; damaged"},
    {"checkpoint_cut", "evaluate ~/cut_short", "~/cut_short; truncated"},
    {"checkpoint_cut_in_header", "evaluate ~/cut_in_header", "~/cut_in_header; truncated"},
    {"checkpoint_empty", "evaluate ~/cut_to_nothing", "0 bytes"},
    {"checkpoint_is_npy", "evaluate ~/not_safetensors", "no safetensors file"},
    {"checkpoint_without_metadata", "evaluate ~/no_metadata", "format; missing"},
    {"checkpoint_of_another_format", "evaluate ~/other_format", "'pt'; felbo-checkpoint-1"},
    {"checkpoint_of_another_model", "evaluate ~/other_model", "shape; another model"},
    {"checkpoint_of_unknown_config", "evaluate ~/other_config", "line 2; wings"},
    {"checkpoint_lacks_a_tensor", "evaluate ~/missing_tensor", "adam.v.decoder.0.bias"},
    {"checkpoint_step", "evaluate ~/no_count", "step; -3"},
    {"checkpoint_without_its_sums", "evaluate ~/sums_missing", "'epoch_log_px_given_z' is missing"},
    {"checkpoint_best", "evaluate ~/best_no_number", "best_elbo; 'good', not a number"},
    {"checkpoint_ledger", "evaluate ~/ledger_no_json", "ledger is not JSON"},
    {"checkpoint_of_a_later_format", "evaluate ~/future_format",
     "felbo-checkpoint-3; reads felbo-checkpoint-1 and felbo-checkpoint-2"},
    {"checkpoint_with_another_tensor", "evaluate ~/extra_tensor", "no tensor 'wings'"},
    {"checkpoint_with_a_hole", "evaluate ~/hole", "~/hole; belong to no tensor"},
    {"checkpoint_of_doubles", "evaluate ~/double_precision", "F64; float32"},
    {"resume_file", "train --resume ~/run/checkpoint.safetensors", "is a file, not a run's folder"},
    {"resume_other_data_of_the_same_size", "train --resume ~/swapped --epochs 3",
     "~/swapped.npy; not those that the run began with; train part; SHA-256"},
};
INSTANTIATE_TEST_SUITE_P(Runs, BadInput, ::testing::ValuesIn(kRuns), name_of_case);

/// Requests for pictures and arrays.
constexpr Case kPictures[] = {
    {"ending", "sample ~/grey --count 4 --out ~/x.jpg", "~/x.jpg; .png; .npy"},
    {"no_out", "sample ~/grey --count 4", "--out"},
    {"no_count", "sample ~/grey --out ~/x.npy", "--count"},
    {"count_0", "sample ~/grey --count 0 --out ~/x.npy", "--count; got 0"},
    {"count_negative", "sample ~/grey --count=-1 --out ~/x.npy", "--count; -1"},
    {"count_absurd", "sample ~/grey --count 99999999999 --out ~/x.npy", "--count"},
    {"no_pictures", "sample ~/run --count 4 --out ~/x.png", "~/x.png; not pictures; .npy"},
    {"from", "sample ~/run --count 4 --from hat --out ~/x.npy", "--from; hat"},
    {"folder_missing", "sample ~/run --count 4 --out ~/none/x.npy", "~/none/x.npy; no folder"},
    {"folder_missing_png", "sample ~/grey --count 4 --out ~/none/x.png", "~/none/x.png; no folder"},
    {"more_than_there_are", "reconstruct ~/run --count 31 --out ~/x.npy", "30 rows; 31"},
    {"reconstruct_count_0", "reconstruct ~/run --count 0 --out ~/x.npy", "count; 0"},
    {"reconstruct_no_pictures", "reconstruct ~/run --count 4 --out ~/x.png", "not pictures"},
    {"reconstruct_width", "reconstruct ~/run --data ~/wide.npy --count 4 --out ~/x.npy",
     "~/wide.npy; 13 columns"},
    {"posterior_more_than_there_are", "sample ~/run --from posterior --count 31 --out ~/x.npy",
     "30 rows; 31"},
    {"prior_with_data", "sample ~/run --count 4 --data ~/good.npy --out ~/x.npy", "--data; --from posterior"},
    {"prior_with_split", "sample ~/run --count 4 --from prior --split train --out ~/x.npy",
     "--split; --from posterior"},
    {"sample_device", "sample ~/run --count 4 --device tpu --out ~/x.npy", "--device; tpu"},
    {"sample_seed", "sample ~/run --count 4 --seed=-1 --out ~/x.npy", "--seed; -1; whole number"},
    {"encode_ending", "encode ~/run --out ~/x.png", "~/x.png; .npy"},
    {"encode_width", "encode ~/run --data ~/wide.npy --out ~/x.npy", "~/wide.npy; 13 columns; 12"},
    {"encode_missing", "encode ~/none --out ~/x.npy", "~/none; holds no run"},
};
INSTANTIATE_TEST_SUITE_P(Pictures, BadInput, ::testing::ValuesIn(kPictures), name_of_case);

// --- Configurations ----------------------------------------------------------------------------------------

/// A file for --config that is refused, with words that the message must hold.
struct TomlCase {
  const char* name;
  const char* text;
  const char* words;
};

std::ostream& operator<<(std::ostream& out, const TomlCase& c) { return out << c.name; }

class BadToml : public ::testing::TestWithParam<TomlCase> {};

TEST_P(BadToml, IsRefused) {
  const TomlCase& c = GetParam();
  const TempFolder folder;
  write_bytes(folder / "x.npy", picture_npy(300, 4, 3));
  write_bytes(folder / "bad.toml", c.text);
  const auto before = snapshot(folder.path());
  const Outcome outcome = felbo({"train", "--config", folder / "bad.toml", "--data", folder / "x.npy",
                                 "--binarize", "dynamic", "--out", folder / "never"});
  EXPECT_EQ(outcome.status, 2) << "signal " << outcome.signal << "\n" << outcome.err;
  EXPECT_EQ(outcome.out, "");
  for (const std::string& word : split(c.words, "; ")) EXPECT_TRUE(has(outcome.err, word));
  EXPECT_TRUE(before == snapshot(folder.path())) << "something was written";
}

constexpr TomlCase kToml[] = {
    {"no_toml", "latent 3", "bad.toml, line 1; not TOML"},
    {"line_of_the_error", "seed = 1\n\nlatent = = 3\n", "bad.toml, line 3; not TOML"},
    {"quote_not_closed", "data = 'x\n", "line 1; not TOML"},
    {"list_not_closed", "hidden = [16, 8\n", "not TOML"},
    {"not_utf8", "hidden = '\xff\xfe'\n", "line 1; not TOML"},
    {"control_character", "hidden = 'a\x01'\n", "line 1; not TOML"},
    {"nested_too_deep",
     "hidden = "
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
     "[[["
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
     "[[["
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
     "[[[",
     "line 1; not TOML"},
    {"unknown_key", "seed = 1\nwings = 2\n", "line 2; unknown key 'wings'; felbo train --help"},
    {"key_of_the_command", "out = 'never'\n", "line 1; unknown key 'out'"},
    {"key_of_force", "force = true\n", "unknown key 'force'"},
    {"key_with_dashes", "\"--latent\" = 3\n", "unknown key '--latent'"},
    {"key_in_capitals", "Latent = 3\n", "unknown key 'Latent'"},
    {"key_empty", "\"\" = 3\n", "unknown key ''"},
    {"key_twice", "latent = 3\nlatent = 4\n", "line 2; not TOML"},
    {"table", "[model]\nlatent = 3\n", "line 1; unknown key 'model'"},
    {"table_of_a_flag", "[latent]\nsize = 3\n", "'latent' must be a number"},
    {"dotted_key", "hidden.width = 3\n", "'hidden' must be a number"},
    {"boolean", "latent = true\n", "line 1; 'latent' must be a number"},
    {"boolean_as_text", "track-norm = 'maybe'\n", "line 1; track-norm; maybe"},
    {"boolean_of_a_list", "track-norm = [true]\n", "line 1; 'track-norm' must be"},
    {"boolean_for_a_name", "events = true\n", "line 1; 'events' must be a number, a text in quotes"},
    {"date", "epochs = 1979-05-27\n", "'epochs' must be a number"},
    {"list_of_lists", "hidden = [[16], [8]]\n", "'hidden' must be a number"},
    {"list_of_nothing", "hidden = []\n", "hidden"},
    {"list_for_a_number", "batch = [1, 2]\n", "line 1; batch"},
    {"text_for_a_number", "batch = 'many'\n", "line 1; batch; many"},
    {"fraction_for_a_whole", "batch = 2.5\n", "line 1; batch; 2.5"},
    {"number_too_large", "batch = 9223372036854775808\n", "line 1; not TOML"},
    {"seed_negative", "seed = -1\n", "line 1; seed; -1"},
    {"seed_of_65_bits", "seed = '18446744073709551616'\n", "line 1; seed; 18446744073709551616"},
    {"latent_text", "latent = 'few'\n", "latent; few"},
    {"latent_0", "latent = 0\n", "--latent; got 0"},
    {"hidden_negative", "hidden = [16, -8]\n", "--hidden; -8"},
    {"lr_nan", "lr = nan\n", "rate; nan"},
    {"beta_infinite", "beta = inf\n", "--beta; inf"},
    {"adam_beta1_of_1", "adam-beta1 = 1\n", "--adam-beta1; 1"},
    {"epochs_0", "epochs = 0\n", "epochs; 0"},
    {"likelihood", "likelihood = 'poison'\n", "poison; bernoulli"},
    {"variance_of_a_bernoulli", "variance = 'learned'\n", "--variance; bernoulli"},
    {"components_without_a_mixture", "components = 5\n", "--components; mixture"},
    {"free_bits_negative", "free-bits = -1\n", "--free-bits; -1"},
    {"clamp", "log-var-clamp = [3, 1]\n", "--log-var-clamp; 3,1"},
    {"schedule", "lr-schedule = 'zigzag'\n", "zigzag; cosine"},
    {"schedule_and_epochs", "lr-schedule = 'stages:2@1e-3'\nepochs = 5\n", "2; 5"},
    {"layers_and_flow", "latent = '3,2'\nposterior = 'planar-flow'\n", "--latent; --posterior"},
    {"widths_of_layers_that_are_not", "hidden = '16/8'\n", "--hidden; --latent"},
    {"device", "device = 'tpu'\n", "--device; tpu; cpu"},
    {"precision", "precision = 'fp64'\n", "--precision; fp64"},
    {"threads", "threads = -1\n", "threads; -1"},
    {"keep_0", "keep = 0\n", "--keep; got 0"},
};
INSTANTIATE_TEST_SUITE_P(Toml, BadToml, ::testing::ValuesIn(kToml),
                         [](const auto& info) { return std::string(info.param.name); });

// tests/cli/environment_test.cpp has those of the environment.
TEST(BadInputTable, IsLong) {
  const std::size_t rows = std::size(kData) + std::size(kFlags) + std::size(kRuns) + std::size(kPictures);
  std::printf("bad input: %zu rows of flags, data, checkpoints, runs and pictures, %zu of TOML\n", rows,
              std::size(kToml));
  EXPECT_GE(rows + std::size(kToml), 200u);
}

TEST(Force, ReplacesTheRunThatTheFolderHolds) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", float_npy(300, 12, -1, 1));
  const Words train{
      "train",    "--data", folder / "x.npy", "--out", folder / "run", "--likelihood", "gaussian",
      "--hidden", "none",   "--latent",       "2",     "--force"};
  felbo_json(train + Words{"--epochs", "3"});
  felbo_json(train + Words{"--epochs", "2", "--seed", "5"});
  EXPECT_EQ(read_metrics(folder / "run").size(), 2u);
  EXPECT_EQ(read_checkpoint(folder / "run").metadata.at("seed"), "5");
}

TEST(Force, RemovesWhatAKilledProcessLeft) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "run");
  const auto leftover = folder / ("run/checkpoint.safetensors.tmp-" + ended_process() + "-0");
  write_bytes(leftover, "half");
  felbo_json({"train", "--data", "builtin:linear-gaussian", "--likelihood", "gaussian", "--hidden", "none",
              "--latent", "2", "--epochs", "1", "--out", folder / "run", "--force"});
  EXPECT_FALSE(std::filesystem::exists(leftover));
}

TEST(Force, LeavesFilesAloneThatAreNotARuns) {
  const TempFolder folder;
  write_bytes(folder / "x.npy", float_npy(300, 12, -1, 1));
  std::filesystem::create_directory(folder / "run");
  write_bytes(folder / "run/notes.txt", "mine");
  felbo_json({"train", "--data", folder / "x.npy", "--out", folder / "run", "--likelihood", "gaussian",
              "--epochs", "1", "--force"});
  EXPECT_EQ(read_bytes(folder / "run/notes.txt"), "mine");
}

TEST(Unreadable, FileIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "NOT CHECKED: the superuser can read every file";
  const TempFolder folder;
  write_bytes(folder / "x.npy", float_npy(300, 12, -1, 1));
  std::filesystem::permissions(folder / "x.npy", std::filesystem::perms::none);
  const Outcome outcome = felbo({"train", "--data", folder / "x.npy", "--out", folder / "run"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_TRUE(has(outcome.err, "cannot be read"));
  EXPECT_EQ(folder.names(), Words{"x.npy"});
}

TEST(Device, ThatIsNotBuiltInIsAFailureNotABadRequest) {
  if (felbo_json({"info"})["cuda"] != "not built") GTEST_SKIP() << "NOT CHECKED: this build has CUDA";
  const TempFolder folder;
  for (const char* device : {"cuda", "cuda:1"}) {
    const Outcome outcome = felbo({"train", "--data", "builtin:linear-gaussian", "--likelihood", "gaussian",
                                   "--out", folder / "run", "--device", device});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(has(outcome.err, "built without CUDA"));
    EXPECT_EQ(folder.names(), Words());
    const Outcome check = felbo({"check", "--device", device});
    EXPECT_EQ(check.status, 1);
    EXPECT_EQ(check.out, "");
    EXPECT_TRUE(has(check.err, "built without CUDA"));
  }
}

}  // namespace
}  // namespace felbo::cli
