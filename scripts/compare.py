#!/usr/bin/env python3
"""Joins results of `felbo bench step|kernels --json` and of benchmarks/peers into one table, and says which peers are absent.

Several files of one tool are rounds of one comparison, in the order given: a rate is the median over rounds, a ratio the median
of the ratios within a round, with its range, so that a machine whose speed drifts slows both alike. Files from different machines,
devices, numbers of threads, versions of a tool, or of hot and cold caches, are refused (exit status 2); precisions have rows of their own.

With --devices the files are felbo's alone, of one machine and of one device or another: rates on the first file's device against those
on the others. Where ops were timed with their references (`felbo bench kernels --reference`), the times of the reference stand beside.
"""

import argparse
import json
import statistics
import sys

PEERS = ["PyTorch eager", "torch.compile default", "torch.compile max-autotune", "JAX jit"]
SAME_FOR_ALL = ["machine", "device"]


def fail(message):
    print(f"compare: {message}", file=sys.stderr)
    raise SystemExit(2)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    except (OSError, ValueError) as error:
        fail(f"{path}: {error}")
    if not isinstance(result, dict):
        fail(f"{path}: not one JSON object")
    for key in ["tool", "version", "results", *SAME_FOR_ALL]:
        if key not in result:
            fail(f"{path}: no '{key}'; it was not written by felbo bench or by a script of benchmarks/peers")
    if result["tool"] not in ["felbo", *PEERS]:
        fail(f"{path}: '{result['tool']}' is no tool that is compared: felbo, {', '.join(PEERS)}")
    result["path"] = path
    return result


def rounds_by(kind, files):
    """{tool or device: its files in order}; refuses what must not be compared."""
    first, groups = files[0], {}
    # Steps have no cache that one could choose.
    same = [*SAME_FOR_ALL, "cache"] if kind == "tool" else ["machine", "tool", "version", "cache"]
    for file in files:
        for key in same:
            if file.get(key) != first.get(key):
                fail(f"{file['path']} has {key} '{file.get(key)}', but {first['path']} has '{first.get(key)}'")
        groups.setdefault(file[kind], []).append(file)
    for tool, rounds in groups.items():
        for file in rounds[1:]:
            if file["version"] != rounds[0]["version"]:
                fail(f"{file['path']} is of {tool} {file['version']}, but {rounds[0]['path']} of {rounds[0]['version']}")
    return groups


def rates(file):
    """Of steps samples a second; calls a second of what has no samples."""
    return {(row["name"], row["params"]): row.get("samples_per_second") or 1 / row["seconds"]
            for row in file["results"] if row.get("samples_per_second") or row.get("seconds")}


def ratios(base, other, row):
    pairs = zip(map(rates, base), map(rates, other))
    return [ours[row] / theirs[row] for ours, theirs in pairs if row in ours and row in theirs]


def times_the_reference(rounds, row):
    """The median over rounds, or None."""
    times = [r.get("times_the_reference") for file in rounds for r in file["results"] if (r["name"], r["params"]) == row]
    times = [t for t in times if t is not None]
    return statistics.median(times) if times else None


def joined_row(kind, group, rounds, base, row):
    own = [rates(file)[row] for file in rounds if row in rates(file)]
    if not own:
        return None
    entry = {"name": row[0], "params": row[1], kind: group, "version": rounds[0]["version"],
             "samples_per_second": statistics.median(own), "rounds": len(own)}
    each = ratios(base, rounds, row) if rounds is not base else []
    if each:
        entry.update(ratio=statistics.median(each), ratio_least=min(each), ratio_most=max(each))
    times = times_the_reference(rounds, row)
    if times is not None:
        entry["times_the_reference"] = times
    return entry


def text_of(kind, entry, memory):
    ratio = f"{entry['ratio']:.2f} ({entry['ratio_least']:.2f} to {entry['ratio_most']:.2f})" if "ratio" in entry else ""
    times = f"{entry['times_the_reference']:.3g}" if "times_the_reference" in entry else ""
    group = f"{entry[kind]} {entry['version']}" if kind == "tool" else entry[kind]
    return [entry["name"], entry["params"], group, f"{entry['samples_per_second']:.0f}", ratio,
            f"{memory:.0f}" if memory else "", times]


def table(kind, groups, first):
    """Lines of text, and the same for --json: of `groups` by tool or device, each against the one named `first`."""
    base = groups.get(first)
    if base is None:
        fail(f"no file is {first}'s")
    rows = dict.fromkeys(row for file in base for row in rates(file))
    lines = [["step or op", "", kind, "samples/s, or calls/s of an op", f"{first} is faster by", "peak memory, MB",
              "times the reference"]]
    joined = []
    for row in rows:
        for group, rounds in groups.items():
            entry = joined_row(kind, group, rounds, base, row)
            if entry is None:
                continue
            joined.append(entry)
            lines.append(text_of(kind, entry, max((file.get("peak_memory_mb") or 0 for file in rounds), default=0)))
    if not any("times_the_reference" in entry for entry in joined):
        lines = [line[:-1] for line in lines]
    return lines, joined


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--devices", action="store_true", help="felbo on one device of a machine against felbo on others")
    flags = parser.parse_args()
    files = [read(path) for path in flags.files]
    kind = "device" if flags.devices else "tool"
    groups = rounds_by(kind, files)
    if flags.devices and files[0]["tool"] != "felbo":
        fail(f"{files[0]['path']} is {files[0]['tool']}'s: --devices compares felbo's own")
    lines, joined = table(kind, groups, files[0]["device"] if flags.devices else "felbo")
    absent = [] if flags.devices else [peer for peer in PEERS if peer not in groups]
    if flags.json:
        print(json.dumps({"machine": files[0]["machine"], "device": files[0]["device"], "absent": absent, "rows": joined}, indent=1))
        return
    where = files[0]["machine"] if flags.devices else f"{files[0]['machine']}, {files[0]['device']}"
    print(f"{where}; medians of {max(map(len, groups.values()))} rounds\n")
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    if absent:
        print(f"\nabsent: {', '.join(absent)}")


if __name__ == "__main__":
    main()
