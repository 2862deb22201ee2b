"""What every peer runs and how it is timed: the training step of `felbo bench step`, on the same kind of data.

A step of a Bernoulli VAE X-H-Z-H-X with ReLU: a shuffled minibatch of bytes, binarised with the pixel as probability;
encoder, one reparameterised sample, decoder; the ELBO (log-likelihood from logits, analytic KL, summed over dimensions,
averaged over the batch); all gradients; Adam.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time

# As in benchmarks/bench_command.cpp: (X, hidden widths of the encoder, Z, B).
SHAPES = [
    (784, (500,), 20, 128),
    (784, (200,), 50, 100),
    (784, (2000,), 64, 512),
    (784, (2000, 2000), 64, 512),
]
ROWS = 20000
LR = 1e-4


def name_of(shape):
    dimensions, hidden, latent, _ = shape
    widths = [dimensions, *hidden, latent, *reversed(hidden), dimensions]
    return "step/" + "-".join(str(w) for w in widths)


def layers_of(shape):
    """(in, out) of the encoder's layers, then of the decoder's. The encoder ends in mu and log_var."""
    dimensions, hidden, latent, _ = shape
    encoder = [dimensions, *hidden, 2 * latent]
    decoder = [latent, *reversed(hidden), dimensions]
    return list(zip(encoder, encoder[1:])), list(zip(decoder, decoder[1:]))


def data(rows, dimensions):
    import numpy

    return numpy.random.default_rng(0).integers(0, 256, (rows, dimensions), dtype=numpy.uint8)


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all cores")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a repetition")
    parser.add_argument("--repetitions", type=int, default=5, help="of which the median is taken")
    parser.add_argument("--filter", default="", help="the steps whose name holds this text")
    parser.add_argument("--out", required=True, help="JSON file of the results")
    flags = parser.parse_args()
    if flags.device == "cpu" and flags.precision != "fp32":
        parser.error("on a CPU the precision is fp32")
    if flags.threads == 0:
        flags.threads = len(os.sched_getaffinity(0))
    flags.shapes = [shape for shape in SHAPES if flags.filter in name_of(shape)]
    if not flags.shapes:
        parser.error(f"--filter '{flags.filter}' matches none of {', '.join(map(name_of, SHAPES))}")
    return flags


def machine():
    """The CPU's name, as `felbo info` and `felbo bench --json` give it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def seconds_a_step(run, flags):
    """Median seconds of a step. `run(n)` takes n steps and returns when they are done."""
    run(3)  # compiles, and warms up
    start = time.perf_counter()
    run(3)
    steps = max(1, int(flags.seconds / ((time.perf_counter() - start) / 3)))
    times = []
    for _ in range(flags.repetitions):
        start = time.perf_counter()
        run(steps)
        times.append((time.perf_counter() - start) / steps)
    return statistics.median(times)


def report(tool, version, device, flags, step_of):
    """Times `step_of(shape)`, which gives a function run(n), for each shape; writes the file."""
    results = []
    for shape in flags.shapes:
        seconds = seconds_a_step(step_of(shape), flags)
        batch = shape[3]
        results.append({
            "name": name_of(shape),
            "params": f"B:{batch}/{flags.precision}",
            "seconds": seconds,
            "precision": flags.precision,
            "samples_per_second": batch / seconds,
        })
        print(f"{tool:<24} {name_of(shape):<30} B:{batch:<6} {seconds * 1e6:>11.1f} us"
              f" {batch / seconds * 1e-3:>9.1f}k samples/s", file=sys.stderr)
    out = {
        "tool": tool,
        "version": version,
        "device": device,
        "machine": machine(),
        "threads": flags.threads,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "results": results,
    }
    with open(flags.out, "w", encoding="utf-8") as file:
        json.dump(out, file, indent=1)
        file.write("\n")
