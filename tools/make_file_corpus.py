#!/usr/bin/env python3
"""Makes seeds of fuzzers: tests/fuzz/corpus/{safetensors,gguf,quantizer}. Needs nothing but Python."""
import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/fuzz/corpus"


def safetensors(header, data=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def pair(key, kind, value):
    return text(key) + struct.pack("<i", kind) + value


def gguf(pairs, tensors, data=b""):
    front = b"GGUF" + struct.pack("<Iqq", 3, len(tensors), len(pairs)) + b"".join(pairs)
    for name, sides, kind, offset in tensors:
        front += text(name) + struct.pack("<I", len(sides)) + b"".join(struct.pack("<q", side) for side in sides)
        front += struct.pack("<iQ", kind, offset)
    return front + bytes(-len(front) % 32) + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def quantized(spec, rows, columns, wild=0, dtype=0):
    """Choices in the order in which tests/fuzz/quantizer_fuzz.cpp makes them: the spec's, then the tensor's."""
    numbers = [(i * 37 + i // 7) % 256 for i in range(2 * (rows + 1) * (columns + 1))]
    return bytes([*spec, 1, rows, columns, wild, *numbers, dtype])


SEEDS = {
    "safetensors/empty": safetensors({}),
    "safetensors/two": safetensors({"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 1], 0, 8),
                                    "b": entry("BF16", [3], 8, 14)}, bytes(14)),
    "safetensors/scalar": safetensors({"a": entry("I64", [], 0, 8), "none": entry("BOOL", [0, 4], 8, 8)}, bytes(8)),
    "safetensors/overlap": safetensors({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, bytes(3)),
    "gguf/empty": gguf([], []),
    "gguf/two": gguf([pair("general.architecture", 8, text("llama")), pair("general.alignment", 4, struct.pack("<I", 32)),
                      pair("tokens", 9, struct.pack("<iQ", 8, 2) + text("a") + text("b")),
                      pair("scores", 9, struct.pack("<iQff", 6, 2, 0.5, -1))],
                     [("a.weight", [32, 2], 2, 0), ("b.weight", [3], 0, 64)], bytes(96)),
    "gguf/values": gguf([pair(str(kind), kind, bytes(size)) for kind, size in
                         [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (8, 8), (10, 8), (11, 8), (12, 8)]],
                        []),
    "quantizer/mxfp4": quantized([0, 0, 2, 4, 0, 2, 1, 3, 1, 31, 0, 5, 0], 3, 63),
    "quantizer/nvfp4": quantized([0, 3, 0, 5, 0, 0, 1, 1, 0, 5, 0, 0, 0, 2, 1, 3, 1, 15, 0, 5, 1], 3, 127),
    "quantizer/uint4": quantized([1, 1, 1, 1, 3, 0, 0, 3, 0, 0, 3, 1, 63, 1, 0, 0], 1, 99, wild=1, dtype=2),
    "quantizer/e4m3": quantized([0, 5, 0, 0, 1, 1, 0, 5, 0], 3, 129, wild=1, dtype=3),
    "gguf/nested": gguf([pair("n", 9, struct.pack("<iQ", 9, 1) + struct.pack("<iQ", 5, 2) + bytes(8))], []),
}

for name, data in SEEDS.items():
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
