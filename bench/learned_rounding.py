#!/usr/bin/env python3
"""Seconds of a step of learned rounding (AutoRound), ours beside brevitas' with the same settings.

usage: learned_rounding.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--steps 2,12] [--windows 16] [--length 512]
                           [--bits 4] [--group-size 128] [--threads 2] [--without-peer] [--json]

Both quantize the whole model twice, with as many steps a block as --steps names; the difference of the times over the
difference of the steps, over the blocks, is a step: forward, backward and quantizers of one block on 8 windows. Loading,
calibration and the final comparison of states are the same in both runs. The package's loop has its quantizers in the
network and half precision (float16); ours has bfloat16 where the processor has AMX. EVALUATION is not read. The package takes
a GPU where it sees one: hide it with CUDA_VISIBLE_DEVICES= (ours here is the CPU).
"""
import json
import sys
import tempfile
import time
from pathlib import Path

import peer
import perplexity

BATCH = 8


def recipe(options, steps):
    return f"""calibration: {{windows: {options.windows}, length: {options.length}}}
rules:
  - layers: blocks
    weight: {{bits: {options.bits}, granularity: group, group_size: {options.group_size}, threshold: full_range}}
    solver: autoround
    solver_options: {{steps: {steps}, batch: {BATCH}}}
"""


def ours(options, calibration, steps):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        perplexity.write_ids(folder / "ids.npy", calibration)
        (folder / "recipe.yaml").write_text(recipe(options, steps))
        begin = time.perf_counter()
        perplexity.run_json([options.program, "quantize", options.model, "--recipe", folder / "recipe.yaml", "--calibration",
                             folder / "ids.npy", "--out", folder / "out", "--threads", options.threads, "--json"])
        return time.perf_counter() - begin


def theirs(options, calibration, steps):
    words = peer.arguments(options.bits, options.group_size, "nearest") + peer.learned_rounding(steps)
    return peer.quantize(options.model, calibration, words, options.threads)[1]


def step_seconds(quantize, options, calibration, blocks):
    few, many = options.steps
    begin, end = quantize(options, calibration, few), quantize(options, calibration, many)
    return (end - begin) / (many - few) / blocks


def main():
    parser = peer.parser(__doc__, windows=16)
    parser.add_argument("--steps", default="2,12", type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=128)
    options = parser.parse_args()
    calibration = peer.token_windows(options.model, options.calibration, options.length, options.windows)
    blocks = json.loads((Path(options.model) / "config.json").read_text())["num_hidden_layers"]
    found = {"laconic": step_seconds(ours, options, calibration, blocks)}
    if not options.without_peer:
        found["brevitas"] = step_seconds(theirs, options, calibration, blocks)
        found["times"] = found["brevitas"] / found["laconic"]
    if options.json:
        print(json.dumps(found))
    else:
        print("  ".join(f"{name} {value:.3f}" + (" s a step" if name != "times" else "") for name, value in found.items()))


if __name__ == "__main__":
    peer.choose_python()
    sys.exit(main())
