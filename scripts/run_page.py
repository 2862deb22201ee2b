#!/usr/bin/env python3
"""Runs the commands that a page of the guide shows, and compares what they print with what stands there.

    run_page.py [PAGE] [--felbo PROGRAM] [--work FOLDER] [--write]

A block of a page that is run:

    <!-- run: decimals within 0.1, whole numbers within 5 % -->

        felbo train --data builtin:glyphs --out digits
        felbo evaluate digits

        what the last of these commands prints on standard output

    <!-- end -->

The commands up to the first empty line run in a shell, in FOLDER, with `felbo` as PROGRAM. A picture that the page shows from
docs/images is compared with FOLDER/<its name>, if a command of the page names it. Texts must be equal, numbers as near as the
block says (a decimal also by half a unit of its last digit), pixels within 6 of 255 in the mean: the same program on the same
type of processor gives the same bits, on another type products are rounded otherwise, and training carries that on.

Exit status 1 where the page is not what the program does. --write makes it so: outputs and pictures are replaced. Only
Python's standard library is needed.
"""
import argparse
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- run: (.*?) -->\n\n)(.*?)(\n<!-- end -->)", re.S)
MARGIN = re.compile(r"decimals within ([\d.]+), whole numbers within ([\d.]+) %")
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
IMAGE = re.compile(r"!\[[^\]]*\]\(\.\./images/([^)]+)\)")
MOST_PIXEL_DIFFERENCE = 6.0


def run(commands, work, felbo):
    """Standard output of the last of the shell's `commands`, which must all succeed."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(felbo, pathlib.Path(folder) / "felbo")
        env = dict(os.environ, PATH=folder + os.pathsep + os.environ["PATH"])
        output = ""
        for command in commands.replace("\\\n", " ").splitlines():
            print(f"$ {' '.join(command.split())}", file=sys.stderr, flush=True)
            done = subprocess.run(["bash", "-c", "set -o pipefail; " + command], cwd=work, env=env, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if done.returncode != 0:
                sys.exit(f"run_page.py: exit status {done.returncode} of: {command}\n{done.stderr}")
            output = done.stdout
    return output


def indented(text):
    return "".join("    " + line.rstrip() + "\n" if line.strip() else "\n" for line in text.strip("\n").splitlines())


def unindented(text):
    return "".join(line[4:] + "\n" for line in text.splitlines())


def is_near(shown, now, decimal, percent):
    if "." in shown:
        half_a_digit = 0.5 * 10.0 ** -len(shown.split(".")[1])
        return abs(float(shown) - float(now)) <= decimal + half_a_digit
    return abs(float(shown) - float(now)) <= percent / 100 * max(1.0, abs(float(shown)))


def differences(shown, now, decimal, percent):
    """What a person should read of two outputs that differ; empty where they agree."""
    found = []
    shown, now = shown.strip("\n").splitlines(), now.strip("\n").splitlines()
    if len(shown) != len(now):
        found.append(f"{len(shown)} lines on the page, {len(now)} printed")
    for a, b in zip(shown, now):
        words = [NUMBER.sub("#", line).split() for line in (a, b)]
        numbers = [NUMBER.findall(line) for line in (a, b)]
        if words[0] != words[1] or not all(is_near(x, y, decimal, percent) for x, y in zip(*numbers)):
            found.append(f"  page: {a}\n  now:  {b}")
    return found


def read_grey_png(path):
    """(width, pixels) of a PNG of 8-bit grey without interlace, as felbo writes them."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            if (depth, colour, interlace) != (8, 0, 0):
                raise ValueError(f"{path}: not a PNG of 8-bit grey")
        elif kind == b"IDAT":
            packed += body
    lines, above, pixels = zlib.decompress(packed), bytes(width), bytearray()
    for y in range(height):
        kind, line = lines[y * (width + 1)], bytearray(lines[y * (width + 1) + 1:(y + 1) * (width + 1)])
        for x in range(width):
            left, up, corner = (line[x - 1], above[x], above[x - 1]) if x else (0, above[x], 0)
            guess = left + up - corner
            nearest = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            line[x] = (line[x] + (0, left, up, (left + up) // 2, nearest)[kind]) % 256
        above = line
        pixels += line
    return width, pixels


def picture_difference(shown, now):
    """Empty where two pictures are alike, else how they differ."""
    if not shown.exists():
        return f"{shown} does not exist"
    (width, a), (other_width, b) = read_grey_png(shown), read_grey_png(now)
    if (width, len(a)) != (other_width, len(b)):
        return f"{shown} has another size than {now}"
    mean = sum(abs(x - y) for x, y in zip(a, b)) / len(a)
    return f"{shown} differs from {now} by {mean:.1f} of 255 in the mean" if mean > MOST_PIXEL_DIFFERENCE else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path, nargs="?", default=ROOT / "docs/guide/what-is-p-of-x.md")
    parser.add_argument("--felbo", type=pathlib.Path, default=ROOT / "build/felbo")
    parser.add_argument("--work", type=pathlib.Path, help="where the commands run (a new folder, removed afterwards)")
    parser.add_argument("--write", action="store_true", help="put what is printed and drawn now in the page's place")
    args = parser.parse_args()
    felbo, page = args.felbo.resolve(), args.page.read_text()
    if not felbo.exists():
        sys.exit(f"run_page.py: there is no program {felbo}: build it, or name it by --felbo")
    own = None if args.work else tempfile.TemporaryDirectory()
    work = args.work or pathlib.Path(own.name)
    work.mkdir(parents=True, exist_ok=True)
    wrong, blocks = [], 0

    def block(match):
        nonlocal blocks
        blocks += 1
        margin = MARGIN.fullmatch(match[2])
        if not margin:
            sys.exit(f"run_page.py: cannot read '{match[2]}'; it has to be like: decimals within 0.1, whole numbers within 5 %")
        commands, _, shown = unindented(match[3]).partition("\n\n")
        now = run(commands, work, felbo)
        if not args.write:
            found = differences(shown, now, *map(float, margin.groups()))
            wrong.extend(f"{commands.splitlines()[-1].strip()}:\n{difference}" for difference in found)
        return match[1] + indented(commands) + ("\n" + indented(now) if now.strip() else "") + match[4]

    new = BLOCK.sub(block, page)
    if blocks == 0:
        sys.exit(f"run_page.py: {args.page} has no block to run")
    images = args.page.resolve().parent.parent / "images"
    for name in dict.fromkeys(IMAGE.findall(page)):
        if args.write and (work / name).exists():
            shutil.copyfile(work / name, images / name)
        elif (work / name).exists():
            wrong += filter(None, [picture_difference(images / name, work / name)])
        else:
            wrong.append(f"no command made the picture {name}")
    if args.write:
        args.page.write_text(new)
        print(f"{args.page}: {blocks} blocks written")
    if wrong:
        sys.exit(f"{args.page} is not what the program does:\n" + "\n".join(wrong))
    if not args.write:
        print(f"{args.page}: {blocks} blocks agree")


if __name__ == "__main__":
    main()
