#!/usr/bin/env python3
"""Searches of scales beside the brevitas package: bench/searches.py [--runs N] [--threads N] [--only HQO] [--json]

Finds the scales of a weight by a search and quantizes it, ours and the package's in turns; the package searches once a
layer, so each of its runs has a new one, of weights that are normal with a deviation of 0.02, as ours are: the half-quadratic
search takes as many rounds as the weights ask for. The table has the medians.
"""
import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer as peer_package  # noqa: E402
from quantizers import Ours, Theirs  # noqa: E402

CODES = "{bits: 4, granularity: channel, narrow_range: true, statistic: "
GROUPS = "{bits: 4, granularity: group, group_size: %d, narrow_range: true, statistic: hqo}"
# name, size, quantizer, the package's class; None: ours alone
ROWS = [
    ("MSE, int4 channel", 4096, CODES + "mse}", "brevitas.quant.scaled_int.Int8WeightPerChannelFloatMSE"),
    ("HQO, int4 channel", 1024, CODES + "hqo}", "brevitas.quant.scaled_int.Int8WeightPerChannelFloatHQO"),
    ("HQO, int4 groups of 128", 1024, GROUPS % 128, None),
    ("HQO, int4 groups of 64", 1024, GROUPS % 64, None),
    ("HQO, int4 groups of 32", 1024, GROUPS % 32, None),
]


def measure(arguments):
    rows = []
    for name, size, quantizer, peer_name in ROWS:
        if not name.startswith(arguments.only):
            continue
        ours = Ours(size, arguments.threads, "float32")
        ours.ask(quantizer)
        found, peer = [], []
        for _ in range(arguments.runs):
            found.append(ours.ask(quantizer)["allocated"])
            if peer_name and not arguments.without_peer:
                peer.append(Theirs(size, peer_name, {"bit_width": 4}, "float32").run()["peer"])
        row = {"name": name, "size": size, "ours": statistics.median(found)}
        rows.append({**row, "peer": statistics.median(peer)} if peer else row)
    return rows


def table(rows):
    lines = ["| | size | laconic | brevitas | times |", "|---|---|---|---|---|"]
    for row in rows:
        peer = f"{row['peer'] / 1e3:.2f} s | {row['peer'] / row['ours']:.0f}" if "peer" in row else " | "
        lines.append(f"| {row['name']} | {row['size']} x {row['size']} | {row['ours']:.0f} ms | {peer} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="rows whose name begins so")
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.without_peer:
        import torch
        torch.set_num_threads(arguments.threads)
    rows = measure(arguments)
    print(json.dumps(rows) if arguments.json else table(rows))


if __name__ == "__main__":
    peer_package.choose_python()
    main()
