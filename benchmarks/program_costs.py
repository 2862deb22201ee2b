#!/usr/bin/env python3
"""What the program costs beside its steps: starting up, the first step, and the memory of training and evaluating.

    program_costs.py --out FILE.json [--felbo PROGRAM] [--runs N]

Written as JSON: medians over runs and the largest, in seconds of a wall clock; peak resident memory in MiB as the kernel counts it.
Only Python's standard library is needed.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(command):
    """(seconds, peak memory in MiB) of a command that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"program_costs.py: exit status {process.returncode} of {' '.join(map(str, command))}\n{said.decode()}")
    return seconds, usage.ru_maxrss / 1024


def write_npy(path, rows, cols):
    """Random bytes in NumPy's format 1.0. Row by row: a child's peak memory counts what this process had when it forked."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, {cols}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    noise = random.Random(0)
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        for _ in range(rows):
            file.write(noise.randbytes(cols))


def timed(name, what, command, runs):
    run(command)  # the files come from the disk once
    seconds = [run(command)[0] for _ in range(runs)]
    return {"name": name, "params": what, "seconds": statistics.median(seconds), "seconds_most": max(seconds), "runs": runs}


def measure(felbo, folder, runs):
    results = [timed("start/help", "--help", [felbo, "--help"], runs)]
    data, run_folder = folder / "data.npy", folder / "run"
    write_npy(data, 1000, 784)
    model = ["--likelihood", "bernoulli", "--binarize", "dynamic", "--hidden", "500", "--latent", "20", "--device", "cpu"]
    one_step = ["--data", data, "--batch", "128", "--valid-fraction", "0.872", "--epochs", "1"]
    results.append(timed("start/first-step", "784-500-20 B:128, one step, its evaluation and its files",
                         [felbo, "train", *one_step, *model, "--out", run_folder, "--force"], runs))
    for rows in (2000, 20000, 60000):
        write_npy(data, rows, 784)
        memory = run([felbo, "train", "--data", data, *model, "--epochs", "1", "--out", run_folder, "--force"])[1]
        results.append({"name": "memory/train", "params": f"784-500-20 B:128 rows:{rows}", "rows": rows, "peak_memory_mb": memory})
    write_npy(data, 2000, 784)  # a tenth of them is held out, as in the run
    for samples in (1, 100, 1000, 5000):
        seconds, memory = run([felbo, "evaluate", run_folder, "--data", data, "--samples", str(samples)])
        results.append({"name": "memory/evaluate", "params": f"200 data S:{samples}", "samples": samples, "seconds": seconds,
                        "peak_memory_mb": memory})
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--felbo", type=pathlib.Path, default=ROOT / "build/felbo")
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    felbo = args.felbo.resolve()
    if not felbo.exists():
        sys.exit(f"program_costs.py: there is no program {felbo}: build it, or name it by --felbo")
    info = json.loads(subprocess.run([felbo, "info", "--json"], check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    with tempfile.TemporaryDirectory() as folder:
        results = measure(felbo, pathlib.Path(folder), args.runs)
    out = {"tool": "felbo", "version": info["version"], "commit": info.get("commit", "unknown"), "date": time.strftime("%Y-%m-%d"),
           "device": "cpu", "machine": info.get("machine", "unknown"), "results": results}
    args.out.write_text(json.dumps(out, indent=1) + "\n")
    for row in results:
        memory = f"{row['peak_memory_mb']:8.1f} MiB" if "peak_memory_mb" in row else " " * 12
        print(f"{row['name']:<18}{row['params']:<60}{row.get('seconds', 0) * 1e3:9.1f} ms {memory}")


if __name__ == "__main__":
    main()
