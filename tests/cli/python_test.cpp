// The checkpoint as the Python packages safetensors and numpy read it, and the model recomputed from it
// there.
#include "tests/cli/run_program.h"

namespace felbo::cli {
namespace {

// float32 sums of up to a few hundred terms of the order of 1, in another order than numpy's: their rounding
// errors, about sqrt(terms) * 6e-8 of the terms' scale, stay below 1e-5 of it by a factor of ten.
constexpr const char* kModel = R"(
import sys, json, tomllib, numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file
run, data, codes, pairs, figures = sys.argv[1:6]
path = run + '/checkpoint.safetensors'
t = load_file(path)
with safe_open(path, 'numpy') as f:
    meta = f.metadata()
config = tomllib.loads(meta['config'])
assert meta['format'] == 'felbo-checkpoint-2' and int(meta['epoch']) == config['epochs'] == 2, meta
assert all(v.dtype == np.float32 and np.isfinite(v).all() for v in t.values())
names = sorted(n for n in t if not n.startswith('adam.'))
assert sorted(t) == sorted(names + ['adam.m.' + n for n in names] + ['adam.v.' + n for n in names]), sorted(t)
assert all(t['adam.m.' + n].shape == t[n].shape == t['adam.v.' + n].shape for n in names)
assert all((t['adam.v.' + n] >= 0).all() and (t['adam.v.' + n] > 0).any() for n in names)

x = np.load(data)
x = (x.reshape(len(x), -1) / np.float32(255)).astype('f4') if x.dtype == np.uint8 else x
N, X, Z = len(x), x.shape[1], config['latent']
assert int(meta['dimensions']) == X
hidden = [] if config['hidden'] == 'none' else [int(w) for w in str(config['hidden']).split(',')]
outputs = 2 if config['likelihood'] == 'gaussian' and config['variance'] == 'per-element' else 1
own = {'learned': (1,), 'per-dimension': (X,)}.get(config.get('variance'))
shapes = {}
for part, widths in (('encoder', [X] + hidden + [2 * Z]), ('decoder', [Z] + hidden[::-1] + [outputs * X])):
    for l in range(len(widths) - 1):
        shapes[f'{part}.{l}.weight'] = (widths[l], widths[l + 1])
        shapes[f'{part}.{l}.bias'] = (widths[l + 1],)
if own:
    shapes['likelihood.log_var'] = own
assert {n: t[n].shape for n in names} == shapes, (shapes, {n: t[n].shape for n in names})

act = {'relu': lambda a: np.maximum(a, 0), 'tanh': np.tanh}[config['activation']]
def mlp(part, a):
    for l in range(len(hidden) + 1):
        a = a @ t[f'{part}.{l}.weight'].astype('f8') + t[f'{part}.{l}.bias'].astype('f8')
        a = act(a) if l < len(hidden) else a
    return a
def same(name, got, want):
    assert got.dtype == np.float32 and got.shape == want.shape, (name, got.dtype, got.shape, want.shape)
    error = np.abs(got - want).max() / np.abs(want).max()
    assert error <= 1e-5, (name, error)
    print(name, 'of shape', want.shape, 'agrees')

code = mlp('encoder', x.astype('f8'))
mu, log_var = code[:, :Z], np.clip(code[:, Z:], -20, 20)
encoded = np.load(codes)
same('encode', encoded, np.stack([mu, log_var]))
mean = mlp('decoder', encoded[0].astype('f8'))[:, :X]
mean = 1 / (1 + np.exp(-mean)) if config['likelihood'] == 'bernoulli' else mean
both = np.load(pairs)
assert (both[0] == x).all()
same('reconstruct', both, np.stack([x, mean]))
kl = (0.5 * (np.exp(log_var) + mu * mu - 1 - log_var)).sum(1)
figures = json.loads(figures)
assert figures['count'] == N
assert abs(figures['kl'] - kl.mean()) <= 1e-5 * kl.mean(), (figures['kl'], kl.mean())
assert abs(figures['kl_stderr'] - kl.std(ddof=1) / N ** 0.5) <= 1e-4 * figures['kl_stderr']
print('kl agrees')
)";

class Python : public ::testing::Test {
 protected:
  void SetUp() override { FELBO_NEEDS_PYTHON(); }

  /// Trains on all rows, encodes and reconstructs them, and recomputes both in numpy.
  void agrees(const std::string& data, const Words& flags) const {
    const std::string run = folder_ / "run", codes = folder_ / "codes.npy", pairs = folder_ / "pairs.npy";
    felbo_json(Words{"train", "--data", data, "--out", run, "--force", "--valid-fraction", "0", "--epochs",
                     "2", "--batch", "32", "--latent", "3"} +
               flags);
    felbo_json({"encode", run, "--out", codes});
    felbo_json({"reconstruct", run, "--count", "300", "--out", pairs});
    const std::string said = testing_files::run_python(
        folder_, kModel, {run, data, codes, pairs, felbo_json({"evaluate", run}).dump()});
    for (const char* line : {"encode of shape", "reconstruct of shape", "kl agrees"})
      EXPECT_TRUE(has(said, line));
  }

  TempFolder folder_;
};

TEST_F(Python, RecomputesGaussianModels) {
  const std::string data = folder_ / "x.npy";
  write_bytes(data, float_npy(300, 12, -1, 1));
  const Words gaussian{"--likelihood", "gaussian"};
  agrees(data, gaussian + Words{"--hidden", "none"});
  agrees(data, gaussian + Words{"--hidden", "16", "--variance", "per-dimension"});
  agrees(data, gaussian + Words{"--hidden", "16,5", "--variance", "per-element", "--activation", "tanh"});
}

TEST_F(Python, RecomputesBernoulliModelsOfPictures) {
  const std::string data = folder_ / "x.npy";
  write_bytes(data, picture_npy(300, 7, 5));
  agrees(data, {"--likelihood", "bernoulli", "--hidden", "none"});
  agrees(data, {"--likelihood", "bernoulli", "--hidden", "16"});
}

TEST_F(Python, ReadsSamplesAsNpy) {
  const std::string data = folder_ / "x.npy", run = folder_ / "run";
  write_bytes(data, picture_npy(300, 7, 5));
  felbo_json({"train", "--data", data, "--out", run, "--binarize", "dynamic", "--hidden", "8", "--latent",
              "3", "--epochs", "1"});
  for (const std::string from : {"prior", "posterior"}) {
    const std::string first = folder_ / (from + "1.npy"), second = folder_ / (from + "2.npy");
    felbo_json({"sample", run, "--from", from, "--count", "20", "--out", first, "--threads", "1"});
    felbo_json({"sample", run, "--from", from, "--count", "9", "--out", second, "--threads", "2"});
    testing_files::run_python(folder_, R"(
import sys, numpy as np
a, b = np.load(sys.argv[1]), np.load(sys.argv[2])
assert a.dtype == np.float32 and a.shape == (20, 35) and b.shape == (9, 35), (a.dtype, a.shape, b.shape)
assert (a > 0).all() and (a < 1).all()          # means of a Bernoulli
assert len(np.unique(a, axis=0)) == 20          # each from a z of its own
assert np.abs(a[:9] - b).max() <= 1e-6          # draw i does not depend on how many there are
)",
                              {first, second});
  }
}

}  // namespace
}  // namespace felbo::cli
