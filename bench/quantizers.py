#!/usr/bin/env python3
"""Quantizers beside memcpy and the brevitas package: bench/quantizers.py [--size N] [--runs N] [--dtype bfloat16] [--device cuda] [--layouts]

Each run measures every row once: a parallel memcpy, then ours into memory that is there, with the result allocated, and
forward with backward; then the package's forward and forward with backward. The table has the medians. "of memcpy": the
least bytes that the row must move (a statistic of the whole tensor is one more read) over the time, relative to memcpy's.
Weights are normal with a deviation of 0.02 on both sides. On CUDA memcpy is a copy on the device, and a time is that of ten
calls that are waited for together.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer as peer_package  # noqa: E402

PROGRAM = peer_package.ROOT / "build/release/bin/quantizers_bench"
MX = "granularity: group, group_size: 32, restriction: power_of_two, power_rounding: floor"
# name, quantizer, moves of memory in copies of the tensor (a copy is 2), the package's class (None: it has none) and its
# settings
ROWS = [
    ("int4 groups of 128", "{bits: 4, granularity: group, group_size: 128, threshold: full_range}", 2,
     "brevitas_examples.common.generative.quantizers.IntWeightSymmetricGroupQuant", {"bit_width": 4, "group_size": 128}),
    ("uint4 asymmetric, groups of 128",
     "{bits: 4, signed: false, granularity: group, group_size: 128, statistic: min_max, zero_point: integer}", 2,
     "brevitas.quant.shifted_scaled_int.ShiftedUint8WeightGroupQuantFloat", {"bit_width": 4, "group_size": 128}),
    ("int8 channel", "{bits: 8, granularity: channel, narrow_range: true}", 2,
     "brevitas.quant.scaled_int.Int8WeightPerChannelFloat", {}),
    ("int8 tensor", "{bits: 8, narrow_range: true}", 3, "brevitas.quant.scaled_int.Int8WeightPerTensorFloat", {}),
    ("e4m3 tensor", "{format: e4m3}", 3, "brevitas.quant.experimental.float_quant_ocp.Fp8e4m3OCPWeightPerTensorFloat", {}),
    ("MXINT8", "{bits: 8, threshold: power_of_two, " + MX + "}", 2,
     "brevitas.quant.mx_quant_ocp.MXInt8Weight", {}),
    ("MXFP8", "{format: e4m3, threshold: largest_power, " + MX + "}", 2, "brevitas.quant.mx_quant_ocp.MXFloat8e4m3Weight", {}),
    ("MXFP4", "{format: e2m1, threshold: largest_power, " + MX + "}", 2, "brevitas.quant.mx_quant_ocp.MXFloat8e4m3Weight",
     {"bit_width": 4, "exponent_bit_width": 2, "mantissa_bit_width": 1}),
    ("NVFP4", "{format: e2m1, granularity: group, group_size: 16, restriction: quantized_by, scale_quantizer: {format: e4m3}}", 3,
     None, {}),
]

# Scales that rows share: along other axes than the last, in blocks and heads. Beside our own plain formula.
LAYOUTS = [
    ("int8 channel of the last axis", "{bits: 8, granularity: channel, axis: 1, narrow_range: true}", 3, None, {}),
    ("int4 groups of 128 of the first axis", "{bits: 4, granularity: group, axis: 0, group_size: 128}", 2, None, {}),
    ("uint4 asymmetric, groups of 128 of the first axis",
     "{bits: 4, signed: false, granularity: group, axis: 0, group_size: 128, statistic: min_max, zero_point: integer}", 2,
     None, {}),
    ("e4m3 blocks of 128 x 128", "{format: e4m3, granularity: block, block_rows: 128, block_columns: 128}", 2, None, {}),
    ("NVFP4 blocks of 16 x 16", "{format: e2m1, granularity: block, block_rows: 16, block_columns: 16, "
     "restriction: quantized_by, scale_quantizer: {format: e4m3}}", 3, None, {}),
    ("int8 heads of 128", "{bits: 8, granularity: head, heads: 32}", 3, None, {}),
]


class Ours:
    """The program, which answers one line with one line."""

    def __init__(self, size, threads, dtype, device="cpu"):
        command = [str(PROGRAM), str(size), str(size), str(threads), dtype, device]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class Theirs:
    """One quantized linear layer of the package, its weight quantized anew at each call."""

    def __init__(self, size, name, settings, dtype, device="cpu"):
        import importlib
        import brevitas.nn as qnn
        import torch
        module, _, leaf = name.rpartition(".")
        quantizer = getattr(importlib.import_module(module), leaf)
        self.calls = 10 if device == "cuda" else 1
        with torch.device(device):
            self.layer = qnn.QuantLinear(size, size, bias=False, dtype=getattr(torch, dtype),
                                         weight_quant=quantizer.let(**settings) if settings else quantizer)
            torch.nn.init.normal_(self.layer.weight, std=0.02)
            self.gradient = torch.randn(size, size).to(getattr(torch, dtype))
        self.layer.to(device).train()

    def quantized(self):
        result = self.layer.quant_weight()
        return getattr(result, "value", result)

    def milliseconds(self, function):
        import torch
        wait = torch.cuda.synchronize if self.gradient.is_cuda else lambda: None
        wait()
        begin = time.perf_counter()
        for _ in range(self.calls):
            function()
        wait()
        return (time.perf_counter() - begin) * 1e3 / self.calls

    def run(self):
        import torch

        def forward():
            with torch.no_grad():
                self.quantized()

        def both():
            self.layer.weight.grad = None
            self.quantized().backward(self.gradient)

        return {"peer": self.milliseconds(forward), "peer_backward": self.milliseconds(both)}


def measure(arguments, with_peer):
    where = (arguments.dtype, arguments.device)
    ours = Ours(arguments.size, arguments.threads, *where)
    rows = []
    for name, quantizer, moves, peer_name, settings in LAYOUTS if arguments.layouts else ROWS:
        theirs = Theirs(arguments.size, peer_name, settings, *where) if with_peer and peer_name else None
        samples = []
        for _ in range(arguments.runs + 1):
            plain = ours.ask("composed " + quantizer) if arguments.layouts else {}
            samples.append({**ours.ask(quantizer), **(theirs.run() if theirs else plain)})
        row = {key: statistics.median(sample[key] for sample in samples[1:]) for key in samples[0]}  # first: warm up
        row["of_memcpy"] = row["memcpy"] * moves / 2 / row["given"]
        row["deferred_of_memcpy"] = row["memcpy"] * moves / 2 / row["deferred"]
        if not arguments.layouts:
            row["small"] = statistics.median(ours.ask("small " + quantizer)["microseconds"] for _ in range(5))
        rows.append({"name": name, **row})
        print(table(rows[-1:], arguments).splitlines()[-1], file=sys.stderr, flush=True)
    return rows


def shown(milliseconds):
    return f"{milliseconds:.2f} ms" if milliseconds < 10 else f"{milliseconds:.1f} ms"


def table(rows, arguments):
    with_peer = arguments.layouts or not arguments.without_peer
    head = ["", "memcpy", "given", "of memcpy", "deferred", "of memcpy", "allocated", "with backward", "deferred"]
    head += [] if arguments.layouts else ["32 x 128"]
    head += ["plain formula" if arguments.layouts else "brevitas", "with backward", "times", "times, given", "times with backward"] if with_peer else []
    lines = [head, ["---"] * len(head)]
    for row in rows:
        line = [row["name"], shown(row["memcpy"]), shown(row["given"]), f"{row['of_memcpy']:.0%}", shown(row["deferred"]),
                f"{row['deferred_of_memcpy']:.0%}", shown(row["allocated"]), shown(row["backward"]),
                shown(row["backward_deferred"])]
        line += [f"{row['small']:.1f} us"] if "small" in row else []
        if with_peer and "peer" not in row:
            line += ["none"] * 5
        elif with_peer:
            times = (row["peer"] / row["allocated"], row["peer"] / row["given"], row["peer_backward"] / row["backward"])
            line += [shown(row["peer"]), shown(row["peer_backward"])] + [f"{ratio:.1f}" for ratio in times]
        lines.append(line)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--layouts", action="store_true", help="scales that rows share, beside our own plain formula")
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with_peer = not (arguments.without_peer or arguments.layouts)
    if with_peer:
        import torch
        torch.set_num_threads(arguments.threads)
    rows = measure(arguments, with_peer)
    print(json.dumps(rows) if arguments.json else table(rows, arguments))


if __name__ == "__main__":
    peer_package.choose_python()
    main()
