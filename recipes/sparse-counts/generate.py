#!/usr/bin/env python3
"""Sparse counts from known models, and the best models of them without latents. Needs numpy alone.

    generate.py cells  FOLDER [--rows N] [--columns N] [--seed N]    counts of a negative binomial, 90 % zeros
    generate.py clicks FOLDER [--rows N] [--columns N] [--seed N]    what users chose of a catalogue: multinomial

Writes FOLDER/train-images.npz and FOLDER/test-images.npz (a tenth of the rows) as scipy.sparse.save_npz
writes them, and FOLDER/without-latents.txt: the mean log p(x) in nats of a test row under the best model
fitted to the training rows that knows no latents: for cells a negative binomial of its own mean and dispersion
for each column, for clicks the shares of the columns.
"""
import argparse
import pathlib

import numpy as np

LATENT = 10
LOG_FACTORIAL = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, 2_000_000.0)))])


def cells(rng, rows, columns):
    """x ~ NB(mean exp(b + W z + s), dispersion 1/2): s is the size of the cell."""
    bias = rng.normal(-3.15, 1.2, columns)
    weight = rng.normal(0, 0.35, (LATENT, columns))
    for begin in range(0, rows, 500):
        n = min(500, rows - begin)
        log_mean = bias + rng.normal(size=(n, LATENT)) @ weight + rng.normal(0, 0.3, (n, 1))
        yield rng.poisson(np.exp(log_mean) * rng.gamma(2.0, 0.5, (n, columns)))


def clicks(rng, rows, columns):
    """x ~ multinomial(N, softmax(b + W z)) with N = 5 + Poisson(45)."""
    bias = rng.normal(0, 1.0, columns)
    weight = rng.normal(0, 0.6, (LATENT, columns))
    for begin in range(0, rows, 500):
        n = min(500, rows - begin)
        logits = bias + rng.normal(size=(n, LATENT)) @ weight
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        yield np.stack([rng.multinomial(5 + rng.poisson(45), row) for row in p])


def to_csr(blocks):
    """(indptr, indices, data) of rows that arrive in dense blocks."""
    counts, indices, data = [], [], []
    for block in blocks:
        row, column = np.nonzero(block)
        counts.append(np.bincount(row, minlength=len(block)))
        indices.append(column.astype(np.int32))
        data.append(block[row, column].astype(np.int32))
    return (np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32),
            np.concatenate(indices), np.concatenate(data))


def rows_of(csr, begin, end):
    indptr, indices, data = csr
    first, last = indptr[begin], indptr[end]
    return indptr[begin:end + 1] - first, indices[first:last], data[first:last]


def save(path, csr, columns):
    indptr, indices, data = csr
    np.savez_compressed(path, indices=indices, indptr=indptr, format=b"csr", shape=(len(indptr) - 1, columns),
                        data=data)


def more_than(csr, columns):
    """(columns, most): how many rows have more than k in each column."""
    histogram = np.zeros((columns, int(csr[2].max()) + 1))
    np.add.at(histogram, (csr[1], csr[2]), 1)
    return histogram[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]


class Columns:
    """What the log-likelihood of a column needs to know of its counts."""

    def __init__(self, csr, columns):
        self.rows = len(csr[0]) - 1
        self.above = more_than(csr, columns)
        self.total = np.bincount(csr[1], weights=csr[2], minlength=columns)
        self.factorials = np.bincount(csr[1], weights=LOG_FACTORIAL[csr[2]], minlength=columns)

    def nb_log_px(self, mean, r):
        """Sum over the rows of log NB: log Gamma(x + r) / Gamma(r) is a sum over k < x."""
        rising = sum(self.above[:, k] * np.log(r + k) for k in range(self.above.shape[1]))
        return rising - self.factorials + self.total * np.log(mean / (r + mean)) - self.rows * r * np.log1p(mean / r)


def cells_without_latents(train, test, columns):
    train, test = Columns(train, columns), Columns(test, columns)
    mean = (train.total + 1e-3) / train.rows
    best, of_best = np.full(columns, -np.inf), np.ones(columns)
    for log_r in np.linspace(-4, 6, 81):  # the likelihood is flat at its maximum: this grid loses nothing
        value = train.nb_log_px(mean, np.full(columns, np.exp(log_r)))
        of_best = np.where(value > best, np.exp(log_r), of_best)
        best = np.maximum(value, best)
    return test.nb_log_px(mean, of_best).sum() / test.rows


def clicks_without_latents(train, test, columns):
    share = np.bincount(train[1], weights=train[2], minlength=columns) + 0.5
    share /= share.sum()
    total = np.add.reduceat(np.append(test[2], 0), test[0][:-1]) * (np.diff(test[0]) > 0)
    log_px = LOG_FACTORIAL[total].sum() - LOG_FACTORIAL[test[2]].sum() + (test[2] * np.log(share[test[1]])).sum()
    return log_px / (len(test[0]) - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["cells", "clicks"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    csr = to_csr({"cells": cells, "clicks": clicks}[args.model](rng, args.rows, args.columns))
    held_out = args.rows // 10
    train, test = rows_of(csr, 0, args.rows - held_out), rows_of(csr, args.rows - held_out, args.rows)
    args.folder.mkdir(parents=True, exist_ok=True)
    save(args.folder / "train-images.npz", train, args.columns)
    save(args.folder / "test-images.npz", test, args.columns)
    without = {"cells": cells_without_latents, "clicks": clicks_without_latents}[args.model]
    zeros = 1 - len(csr[2]) / (args.rows * args.columns)
    (args.folder / "without-latents.txt").write_text(f"{without(train, test, args.columns):.4f}\n")
    print(f"{args.model}: {args.rows} x {args.columns}, {100 * zeros:.1f} % zeros, {len(csr[2])} elements")


if __name__ == "__main__":
    main()
