#!/usr/bin/env python3
"""Holds docs/performance.md to the results of docs/results: every figure of the page is computed from a JSON file there.

    performance_page.py [PAGE] [--write]

A figure, or a table, of the page stands between two marks, the first with the Python expression that gives it:

    it takes <!--= f"{row('step', 'step/784-500-20-500-784')['seconds'] * 1e3:.1f}" -->3.7<!--/--> ms

The expression sees `file(name)` (docs/results/NAME.json as it is), `row(name, results_name, params=None)` (the one object of its `results`
with these), `rows(name, results_name)`, `table(headers, lines)`, `growth(name, varied)`, `compared(folder)` (the rows that scripts/compare.py makes of the files of
docs/results/FOLDER) and `peer(folder, results_name, tool)` (one of them).

Exit status 1, with what differs, where the page is not what the results give, where a number of the text with a unit or a decimal
point stands outside such marks, or where a file of docs/results is on no page. --write puts the values into the page.
Only Python's standard library is needed.
"""
import argparse
import importlib.util
import json
import pathlib
import re
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs/results"
MARKED = re.compile(r"(<!--= (.*?) -->)(.*?)(<!--/-->)", re.S)
# What may hold digits without being measured: code, links, and the marks themselves.
NOT_TEXT = re.compile(r"<!--= .*?<!--/-->|```.*?```|^    .*?$|`[^`]*`|\]\([^)]*\)|^#.*?$", re.S | re.M)
UNITS = r"s|ms|us|MB|MiB|GB|GiB|GB/s|GFLOP/s|TFLOP/s|samples/s|k samples/s|%|nats|times"
FIGURE = re.compile(rf"(?<![\w.-])\d[\d,]*(?:\.\d+| ?(?:{UNITS})(?![\w/]))")


class Results:
    def __init__(self):
        self.used = set()

    def file(self, name):
        path = RESULTS / f"{name}.json"
        self.used.add(path)
        return json.loads(path.read_text())

    def rows(self, name, results_name, params=None):
        return [r for r in self.file(name)["results"] if r["name"] == results_name and params in (None, r["params"])]

    def row(self, name, results_name, params=None):
        found = self.rows(name, results_name, params)
        if len(found) != 1:
            raise LookupError(f"{name}.json has {len(found)} rows '{results_name}' {params or ''}")
        return found[0]

    def roof(self, name, kind):
        """The median over the rows that it bounds of what a roof allowed beside them, in 10^9 a second."""
        return statistics.median(r["roof_rate"] for r in self.file(name)["results"] if r.get("roof") == kind)

    def growth(self, name, varied):
        return next(g for g in self.file(name)["growth"] if g["varied"] == varied)

    def compared(self, folder):
        compare = imported(ROOT / "scripts/compare.py")
        paths = sorted((RESULTS / folder).glob("*.json"))
        self.used.update(paths)
        return compare.table("tool", compare.rounds_by("tool", [compare.read(str(path)) for path in paths]), "felbo")[1]

    def peer(self, folder, results_name, tool):
        return next(r for r in self.compared(folder) if (r["name"], r["tool"]) == (results_name, tool))


def imported(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(headers, lines):
    """A Markdown table with empty lines around it."""
    rows = ["| " + " | ".join(map(str, line)) + " |" for line in [headers, ["---"] * len(headers), *lines]]
    return "\n\n" + "\n".join(rows) + "\n\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path, nargs="?", default=ROOT / "docs/performance.md")
    parser.add_argument("--write", action="store_true", help="put what the results give into the page")
    args = parser.parse_args()
    page, results, wrong, marks = args.page.read_text(), Results(), [], 0
    names = {name: getattr(results, name) for name in ("file", "row", "rows", "roof", "growth", "compared", "peer")} | {"table": table}

    def value(match):
        nonlocal marks
        marks += 1
        try:
            now = str(eval(match[2], names))
        except (ArithmeticError, LookupError, OSError, StopIteration, TypeError, ValueError) as error:
            sys.exit(f"performance_page.py: {match[2]}: {type(error).__name__}: {error}")
        if now != match[3]:
            wrong.append(f"{match[2]}\n  page:    {match[3].strip()}\n  results: {now.strip()}")
        return match[1] + now + match[4]

    new = MARKED.sub(value, page)
    stray = [f"a figure outside the marks: '{found[0]}'" for found in FIGURE.finditer(NOT_TEXT.sub("", page))]
    unused = [f"no figure of the page is from {path.relative_to(ROOT)}"
              for path in sorted(RESULTS.rglob("*.json")) if path not in results.used]
    if args.write:
        args.page.write_text(new)
        wrong = []
    wrong += stray + unused
    if marks == 0:
        wrong.append("the page has no figure")
    if wrong:
        sys.exit(f"{args.page} is not what the results give:\n" + "\n".join(wrong))
    print(f"{args.page}: {marks} figures and tables {'written' if args.write else 'agree'}")


if __name__ == "__main__":
    main()
