#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: tests/fuzz/corpus/TARGET/*, valid inputs and the usual kinds of damage.

Files of other names, such as inputs that once crashed a parser, are left alone. Python's standard library is enough.
"""
import gzip
import io
import json
import math
import pathlib
import struct
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
CHECKPOINT_1 = HERE.parent / "data" / "checkpoint-1.safetensors"


def write(target, name, content):
    path = HERE / "corpus" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def ramp(count):
    return bytes(i % 251 for i in range(count))


def floats(values, order="<"):
    return struct.pack(f"{order}{len(values)}f", *values)


def idx(kind, sizes, values):
    return bytes([0, 0, kind, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + values


def npy(descr, shape, values, version=1, fortran=False):
    descr = descr if descr.startswith("[") else f"'{descr}'"
    header = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    before = 10 if version == 1 else 12
    header += " " * (-(before + len(header) + 1) % 64) + "\n"
    return npy_with_header(version, header.encode(), values)


def npy_with_header(version, header, values):
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + values


def vector(descr, code, values):
    return npy(descr, f"({len(values)},)", struct.pack(f"<{len(values)}{code}", *values))


def write_idx():
    whole = idx(0x08, [5, 4, 3], ramp(60))
    for name, content in {
        "pictures": whole,
        "rows": idx(0x08, [3, 7], ramp(21)),
        "float": idx(0x0D, [2, 3], floats([0.5, -1, 2, 3e-38, -4e38 / 2, 0], ">")),
        "nan": idx(0x0D, [2, 2], floats([1, math.nan, math.inf, 0], ">")),
        "labels": idx(0x08, [9], ramp(9)),
        "int16": idx(0x0B, [2, 2], ramp(8)),
        "no_rows": idx(0x08, [0, 28, 28], b""),
        "claims": idx(0x08, [1000000, 28, 28], ramp(40)),
        "overflow": idx(0x0D, [0xFFFFFFFF] * 3, ramp(8)),
        "many_dimensions": idx(0x08, [1] * 200, b"x"),
        "truncated": whole[:-7],
        "header_only": whole[:9],
        "trailing": whole + b"xyz",
        "empty": b"",
    }.items():
        write("idx", name, content)


def write_npy():
    for name, content in {
        "float": npy("<f4", "(2, 3)", floats([0, 1, -2, 0.25, 1e30, -1e-40])),
        "bytes": npy("|u1", "(4, 3)", ramp(12)),
        "pictures": npy("|u1", "(2, 3, 2)", ramp(12)),
        "version_2": npy("<f4", "(1, 2)", floats([1, 2]), 2),
        "version_3": npy("<f4", "(1, 2)", floats([1, 2]), 3),
        "version_4": npy("<f4", "(1, 2)", floats([1, 2]), 4),
        "fortran": npy("<f4", "(2, 2)", floats([1, 2, 3, 4]), fortran=True),
        "double": npy("<f8", "(2, 2)", ramp(32)),
        "big_endian": npy(">f4", "(2, 2)", ramp(16)),
        "structured": npy("[('a', '<f4'), ('b', '|u1')]", "(2, 2)", ramp(20)),
        "scalar": npy("<f4", "()", floats([1])),
        "four_dimensions": npy("|u1", "(2, 2, 2, 2)", ramp(16)),
        "overflow": npy("<f4", "(4611686018427387904, 4)", ramp(8)),
        "long_integer": npy("<f4", "(99999999999999999999999, 4)", ramp(8)),
        "negative": npy("<f4", "(-1, 4)", ramp(8)),
        "nan": npy("<f4", "(1, 2)", floats([math.nan, math.inf])),
        "truncated": npy("|u1", "(4, 3)", ramp(7)),
        "header_claims": npy_with_header(2, b"{'descr': ", b"")[:8] + b"\xff\xff\xff\x7f{",
        "no_shape": npy_with_header(1, b"{'descr': '<f4', 'fortran_order': False}\n", ramp(8)),
        "not_closed": npy_with_header(1, b"{'descr': '<f4', 'shape': (1, 2", ramp(8)),
    }.items():
        write("npy", name, content)


def write_gzip():
    pack = lambda content: gzip.compress(content, mtime=0)
    pictures, rows = idx(0x08, [5, 4, 3], ramp(60)), npy("<f4", "(2, 3)", floats([0, 1, -2, 0.25, 3, 9]))
    whole = pack(pictures)
    flipped = bytearray(whole)
    flipped[-6] ^= 0x10
    named = bytearray(whole)
    named[3] = 8  # a file's name stands behind the header
    for name, content in {
        "idx": whole,
        "npy": pack(rows),
        "members": pack(pictures[:30]) + pack(pictures[30:]),
        "empty_member": pack(b"") + whole,
        "nothing": pack(b""),
        "truncated": whole[:-12],
        "header_only": whole[:7],
        "checksum": bytes(flipped),
        "trailing": whole + b"xyz",
        "name": bytes(named[:10]) + b"t10k\0" + whole[10:],
        "within": pack(whole),
        "expands": pack(idx(0x08, [2000, 28, 28], bytes(2000 * 784))),
        "to_pack_idx": pictures,
        "to_pack_npy": rows,
        "to_pack_claims": idx(0x08, [1000000, 28, 28], ramp(40)),
        "to_pack_claims_a_lot": idx(0x08, [0xFFFFFFFF, 28, 28], ramp(40)),
    }.items():
        write("gzip", name, content)


def sparse_members(**changed):
    members = {
        "format": npy("|S3", "()", b"csr"),
        "shape": vector("<i8", "q", [3, 4]),
        "indptr": vector("<i4", "i", [0, 2, 2, 3]),
        "indices": vector("<i4", "i", [1, 3, 0]),
        "data": vector("<f4", "f", [2, 1, 3]),
    }
    assert not changed.keys() - members.keys()
    return members | changed


def as_members(members):
    """The bytes that the target makes an archive of."""
    text = b""
    for name, content in members.items():
        text += (b"" if name == "data" else struct.pack("<H", len(content))) + content
    return text


def as_archive(members, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name + ".npy"), content, method)
    return out.getvalue()


def write_npz():
    whole = as_archive(sparse_members(), zipfile.ZIP_STORED)
    no_data = {k: v for k, v in sparse_members().items() if k != "data"}
    for name, content in {
        "stored.npz": whole,
        "deflated.npz": as_archive(sparse_members(), zipfile.ZIP_DEFLATED),
        "bzip2.npz": as_archive(sparse_members(), zipfile.ZIP_BZIP2),
        "dense.npz": as_archive({"x": npy("<f4", "(1, 2)", floats([1, 2]))}, zipfile.ZIP_STORED),
        "no_data.npz": as_archive(no_data, zipfile.ZIP_STORED),
        "truncated.npz": whole[:-30],
        "empty.npz": as_archive({}, zipfile.ZIP_STORED),
        "members": as_members(sparse_members()),
        "wide": as_members(sparse_members(
            format=npy("<U3", "()", "csr".encode("utf-32-le")), indptr=vector("<i8", "q", [0, 2, 2, 3]),
            indices=vector("<i8", "q", [1, 3, 0]), data=vector("<f8", "d", [2, 1, 3]))),
        "int32": as_members(sparse_members(data=vector("<i4", "i", [2, -1, 16777217]))),
        "int64": as_members(sparse_members(data=vector("<i8", "q", [2, 1, 2**63 - 1]))),
        "bool": as_members(sparse_members(data=vector("|b1", "B", [1, 0, 1]))),
        "uint8": as_members(sparse_members(data=vector("|u1", "B", [255, 0, 1]))),
        "duplicates": as_members(sparse_members(
            indptr=vector("<i4", "i", [0, 4, 4, 6]), indices=vector("<i4", "i", [3, 1, 1, 1, 0, 0]),
            data=vector("<f4", "f", [1, 0.5, 1, 0.5, 4, -1]))),
        "sum_overflows": as_members(sparse_members(
            indices=vector("<i4", "i", [1, 1, 0]), data=vector("<f4", "f", [3e38, 3e38, 0]))),
        "nan": as_members(sparse_members(data=vector("<f4", "f", [2, math.nan, 3]))),
        "csc": as_members(sparse_members(format=npy("|S3", "()", b"csc"))),
        "format_claims": as_members(sparse_members(format=npy("|S99999999999", "()", b"csr"))),
        "column_out_of_range": as_members(sparse_members(indices=vector("<i4", "i", [1, 4, 0]))),
        "falls": as_members(sparse_members(indptr=vector("<i4", "i", [0, 3, 2, 3]))),
        "negative": as_members(sparse_members(indptr=vector("<i8", "q", [0, -2**63, 2**62, 3]))),
        "huge_shape": as_members(sparse_members(shape=vector("<i8", "q", [2**32 - 1, 2**32 - 1]),
                                                indptr=npy("<i8", "(4294967296,)", bytes(64)))),
        "no_elements": as_members(sparse_members(
            indptr=vector("<i4", "i", [0, 0, 0, 0]), indices=vector("<i4", "i", []), data=vector("<f4", "f", []))),
    }.items():
        write("npz", name, content)


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def checkpoint_2(header, **changed):
    """The header of a checkpoint of this version, without the checksums that a change would have to follow."""
    metadata = {k: v for k, v in header["__metadata__"].items() if "crc32" not in k}
    metadata |= {"format": "felbo-checkpoint-2"} | changed
    return header | {"__metadata__": metadata}


def write_safetensors():
    tensor = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    bias = {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]}
    data = floats([1, 2, 3, 4, 5, 6, 7, 8, 9])
    old = CHECKPOINT_1.read_bytes()
    length = struct.unpack("<Q", old[:8])[0]
    header, body = json.loads(old[8 : 8 + length]), old[8 + length :]
    ledger = {"units": {}, "data": {"train": {"rows": 3, "sha256": "0" * 64}}, "felbo": {"version": "0.1.0"}}
    sums = {f"epoch_{name}": "0.5" for name in ("elbo", "log_px_given_z", "kl", "bound", "seconds")}
    for name, content in {
        "two": safetensors({"w": tensor, "b": bias}, data),
        "scalar": safetensors({"s": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}, data[:4]),
        "empty": safetensors({"e": {"dtype": "F32", "shape": [0, 7], "data_offsets": [0, 0]}}),
        "nothing": safetensors({}),
        "metadata": safetensors({"__metadata__": {"a": "b", "c": "\u00e9\n"}, "w": tensor}, data[:24]),
        "metadata_number": safetensors({"__metadata__": {"a": 1}}),
        "twice": safetensors(b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                             b'"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', data[:4]),
        "nested": safetensors(b'{"w":' + b"[" * 500),
        "half": safetensors({"w": tensor | {"dtype": "F16"}}, data[:24]),
        "overlap": safetensors({"w": tensor, "b": bias | {"data_offsets": [12, 24]}}, data[:24]),
        "hole": safetensors({"w": tensor, "b": bias | {"data_offsets": [28, 40]}}, data + data[:4]),
        "overflow": safetensors({"w": tensor | {"shape": [2**62, 2**62]}}, data[:24]),
        "trailing": safetensors({"w": tensor}, data),
        "one_checksum": safetensors({"__metadata__": {"sha256": "0" * 64}, "w": tensor}, data[:24]),
        "wrong_checksum": safetensors({"__metadata__": {"sha256": "0" * 64, "header_sha256": "0" * 64}}),
        "length_claims": struct.pack("<Q", 99_999_999) + b"{}",
        "length_absurd": struct.pack("<Q", 2**64 - 1) + b"{}",
        "not_closed": safetensors(b'{"w":{"dtype":"F3'),
        "checkpoint_1": old,
        "checkpoint_2": safetensors(checkpoint_2(header), body),
        "checkpoint_2_within": safetensors(checkpoint_2(
            header, epoch_steps="2", epoch_count="64", epoch_clamped="0", best_epoch="1", best_elbo="-7.5",
            ledger=json.dumps(ledger), **sums), body),
        "checkpoint_3": safetensors(checkpoint_2(header, format="felbo-checkpoint-3"), body),
        "checkpoint_dimensions": safetensors(checkpoint_2(header, dimensions=str(2**32)), body),
        "checkpoint_wide": safetensors(checkpoint_2(
            header, dimensions=str(2**32), height="0", width="0",
            config="hidden = '1000000'\nlatent = 1000000\nlikelihood = 'categorical'\ncategories = 65536\n"), body),
        "checkpoint_covariance": safetensors(checkpoint_2(
            header, config="hidden = 1000000\nlatent = 1000000\nposterior = 'full-covariance-gaussian'\n"), body),
    }.items():
        write("safetensors", name, content)


FLAGS = {
    "default": "data = 'builtin:glyphs'\nbinarize = 'dynamic'\n",
    "sizes": "hidden = '500,300'\nlatent = 20\nbatch = 100\nepochs = 30\nsamples = 5\nthreads = 2\nseed = 7\n",
    "layers": "latent = '100,50'\nhidden = '200,200/100,100'\nobjective = 'iwae'\nsamples = 50\n",
    "gaussian": "likelihood = 'gaussian'\nvariance = 'fixed:0.5'\nlog-var-clamp = '-10,10'\n",
    "student": "likelihood = 'student-t'\ndegrees-of-freedom = 3.5\nvariance = 'per-dimension'\n",
    "categorical": "likelihood = 'categorical'\ncategories = 256\n",
    "counts": "likelihood = 'zero-inflated-negative-binomial'\nvariance = 'learned'\nactivation = 'softplus'\n",
    "flow": "posterior = 'planar-flow'\nflow-steps = 16\nobjective = 'elbo-mc'\n",
    "vamp": "prior = 'vamp'\ncomponents = 50\nfree-bits = 0.25\n",
    "schedules": "lr = 1e-3\nlr-schedule = 'cosine'\nwarmup-epochs = 2\nbeta = 4\nbeta-schedule = 'cyclic:10@0.5'\n",
    "stages": "lr-schedule = 'stages:10@1e-3,20@1e-4'\nadam-beta1 = 0.9\nadam-beta2 = 0.999\nadam-epsilon = 1e-4\n",
    "saving": "save-every = 5\nsave-steps = 100\nkeep = 3\ntrack-gap = 2\ndevice = 'cpu'\nprecision = 'fp32'\n",
    "norms": "track-norm = true\nclip-norm = 5\non-nonfinite = 'skip'\n",
    "limits": "seed = 18446744073709551615\nlatent = 9223372036854775807\nlr = inf\nbeta = nan\nvalid-fraction = -0.0\n",
}


def as_flags(text):
    words = []
    for line in text.splitlines():
        key, value = line.split(" = ")
        words += ["--" + key, value.strip("'")]
    return "\n".join(words)


def write_configuration():
    for name, text in FLAGS.items():
        write("toml", name, text)
        write("flags", name, as_flags(text))
    old = CHECKPOINT_1.read_bytes()
    length = struct.unpack("<Q", old[:8])[0]
    write("toml", "checkpoint", json.loads(old[8 : 8 + length])["__metadata__"]["config"])
    for name, text in {
        "unknown": "wings = 2\n",
        "twice": "latent = 2\nlatent = 3\n",
        "table": "[latent]\nsize = 2\n[[hidden]]\n",
        "dotted": "hidden.width = 3\n",
        "types": "latent = true\n",
        "truths": "track-norm = false\nevents = true\n",
        "dates": "epochs = 1979-05-27T07:32:00Z\nseed = 07:32:00\n",
        "integers": "latent = 0x1F\nbatch = 1_000\nseed = 0b101\nepochs = 0o17\n",
        "text": 'data = """a\\u00e9\\n\\\n  b"""\nhidden = "\\t\\x"\n',
        "list": "hidden = [500, 300.0, '20']\nlatent = [[1], 2]\n",
        "nested": "hidden = " + "[" * 300,
        "inline": "hidden = { a = 1, b = { c = [ ] } }\n",
        "unicode": "data = '\u00fc\U0001f600'\n\ufefflatent = 1\n",
        "not_utf8": b"data = '\xff\xfe'\n",
        "not_closed": "data = 'builtin:gl",
        "comment": "# nothing\n\r\n\t# else",
    }.items():
        write("toml", name, text)
    for name, words in {
        "equals": "--latent=20\n--seed=0\n--lr=.5",
        "twice": "--latent\n3\n--latent\n4",
        "no_value": "--latent",
        "unknown": "--wings\n2",
        "words": "fast\n--\n--latent\n-1",
        "negative": "--latent=-1\n--beta=-0\n--seed=-1",
        "reals": "--lr\n1e-320\n--beta\n0x1p3\n--free-bits\n1e999\n--adam-epsilon\n nan",
        "lists": "--hidden\n16,,4\n--latent\n3,\n--log-var-clamp\n-1,1,2",
        "schedules": "--lr-schedule\nstages:1@,2\n--beta-schedule\nlinear:",
        "brackets": "--hidden\n[1,2]\n--data\n{}\n--latent\n'3'",
        "bytes": b"--data\n\xff\xc3\x28\x00x\n--device\ncuda:99999999999",
    }.items():
        write("flags", name, words)


if __name__ == "__main__":
    write_idx()
    write_npy()
    write_gzip()
    write_npz()
    write_safetensors()
    write_configuration()
    files = [p for p in (HERE / "corpus").rglob("*") if p.is_file()]
    print(f"{len(files)} files, {sum(p.stat().st_size for p in files)} bytes in {HERE / 'corpus'}")
