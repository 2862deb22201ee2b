#!/usr/bin/env python3
"""Joins results of `felbo bench step|kernels --json` and of benchmarks/peers into one table, and says which peers are absent.

Several files of one tool are rounds of one comparison, in the order given: a rate is the median over rounds, a ratio the median
of the ratios within a round, with its range, so that a machine whose speed drifts slows both alike. Files from different machines,
devices, numbers of threads, versions of a tool, or of hot and cold caches, are refused (exit status 2); precisions have rows of their own.
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


def rounds_by_tool(files):
    """{tool: its files in order}; refuses what must not be compared."""
    first, tools = files[0], {}
    for file in files:
        for key in [*SAME_FOR_ALL, "cache"]:  # steps have no cache that one could choose
            if file.get(key) != first.get(key):
                fail(f"{file['path']} has {key} '{file.get(key)}', but {first['path']} has '{first.get(key)}'")
        tools.setdefault(file["tool"], []).append(file)
    for tool, rounds in tools.items():
        for file in rounds[1:]:
            if file["version"] != rounds[0]["version"]:
                fail(f"{file['path']} is of {tool} {file['version']}, but {rounds[0]['path']} of {rounds[0]['version']}")
    return tools


def rates(file):
    """Of steps samples a second; calls a second of what has no samples."""
    return {(row["name"], row["params"]): row.get("samples_per_second") or 1 / row["seconds"]
            for row in file["results"] if row.get("samples_per_second") or row.get("seconds")}


def ratios(felbo, peer, row):
    pairs = zip(map(rates, felbo), map(rates, peer))
    return [ours[row] / theirs[row] for ours, theirs in pairs if row in ours and row in theirs]


def table(tools):
    felbo = tools.get("felbo")
    if felbo is None:
        fail("no file is felbo's")
    rows = dict.fromkeys(row for file in felbo for row in rates(file))
    lines = [["step or op", "", "tool", "samples/s, or calls/s of an op", "felbo is faster by", "peak memory, MB"]]
    joined = []
    for name, params in rows:
        for tool, rounds in tools.items():
            own = [rates(file)[name, params] for file in rounds if (name, params) in rates(file)]
            if not own:
                continue
            memory = max((file.get("peak_memory_mb") or 0 for file in rounds), default=0)
            entry = {"name": name, "params": params, "tool": tool, "version": rounds[0]["version"],
                     "samples_per_second": statistics.median(own), "rounds": len(own)}
            text = ""
            if tool != "felbo":
                each = ratios(felbo, rounds, (name, params))
                entry.update(ratio=statistics.median(each), ratio_least=min(each), ratio_most=max(each))
                text = f"{entry['ratio']:.2f} ({entry['ratio_least']:.2f} to {entry['ratio_most']:.2f})"
            joined.append(entry)
            lines.append([name, params, f"{tool} {rounds[0]['version']}", f"{entry['samples_per_second']:.0f}", text,
                          f"{memory:.0f}" if memory else ""])
    return lines, joined


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    flags = parser.parse_args()
    files = [read(path) for path in flags.files]
    tools = rounds_by_tool(files)
    lines, joined = table(tools)
    absent = [peer for peer in PEERS if peer not in tools]
    if flags.json:
        print(json.dumps({"machine": files[0]["machine"], "device": files[0]["device"], "absent": absent, "rows": joined}, indent=1))
        return
    print(f"{files[0]['machine']}, {files[0]['device']}; medians of {max(map(len, tools.values()))} rounds\n")
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    if absent:
        print(f"\nabsent: {', '.join(absent)}")


if __name__ == "__main__":
    main()
