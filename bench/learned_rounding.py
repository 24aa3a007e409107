#!/usr/bin/env python3
"""Seconds of a step of learned rounding (AutoRound), ours beside brevitas' and the auto-round package with the same settings.

usage: learned_rounding.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--steps 2,12] [--windows 16] [--length 512]
                           [--bits 4] [--group-size 128] [--threads 2] [--without-peer] [--auto-round PYTHON] [--blocks N]
                           [--rounds 1] [--device cpu] [--amp auto] [--json]

Each quantizes the whole model twice, with as many steps a block as --steps names; the difference of the times over the
difference of the steps, over the blocks, is a step: forward, backward and quantizers of one block on 8 windows. Loading,
calibration and the final comparison of states are the same in both runs. brevitas' loop has its quantizers in the network and
half precision (float16). EVALUATION is not read. --auto-round names a Python that has the auto-round package (pip install
auto-round), which runs with its defaults on the same --device (cpu or cuda; brevitas takes a GPU where it sees one: hide it with
CUDA_VISIBLE_DEVICES=). --blocks leaves the first N blocks of the model alone; with --rounds all take turns, and the medians count.
--amp (auto, true, false): whether ours has its matrix products in bfloat16.
"""
import json
import os
import resource
import statistics
import subprocess
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
    solver_options: {{steps: {steps}, batch: {BATCH}, amp: {options.amp}}}
"""


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(options, calibration, steps):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        perplexity.write_ids(folder / "ids.npy", calibration)
        (folder / "recipe.yaml").write_text(recipe(options, steps))
        begin, busy = time.perf_counter(), children_seconds()
        perplexity.run_json([options.program, "quantize", options.model, "--recipe", folder / "recipe.yaml", "--calibration",
                             folder / "ids.npy", "--out", folder / "out", "--threads", options.threads, "--device", options.device, "--json"])
        return time.perf_counter() - begin, children_seconds() - busy


def theirs(options, calibration, steps):
    words = peer.arguments(options.bits, options.group_size, "nearest") + peer.learned_rounding(steps)
    busy = time.process_time()
    return peer.quantize(options.model, calibration, words, options.threads)[1], time.process_time() - busy


def auto_round(options, calibration):
    """As ours, for each number of steps: both in one process, which takes long to start."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as ids:
        json.dump(calibration, ids)
        ids.flush()
        words = ["--steps", ",".join(map(str, options.steps)), "--bits", options.bits, "--group-size", options.group_size,
                 "--batch", BATCH, "--threads", options.threads, "--device", options.device]
        script = Path(__file__).with_name("auto_round_peer.py")
        done = subprocess.run([str(word) for word in [options.auto_round, script, options.model, ids.name, *words]],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"auto-round failed ({done.returncode}):\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return [found[str(steps)] for steps in options.steps]


def first_blocks(model, count, folder):
    """A copy of a Llama with its first blocks alone."""
    from safetensors.torch import load_file, save_file
    model, folder = Path(model), Path(folder)
    config = json.loads((model / "config.json").read_text())
    config["num_hidden_layers"] = count
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {}
    for file in model.glob("*.safetensors"):
        tensors |= {name: tensor for name, tensor in load_file(file).items()
                    if not name.startswith("model.layers.") or int(name.split(".")[2]) < count}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    for file in model.glob("tokenizer*"):
        os.symlink(file, folder / file.name)
    return folder


def measure(options, calibration, blocks):
    """Seconds of a step, and "NAME, processor": those that processors worked on it, whoever else used them."""
    pairs = {"laconic": [ours(options, calibration, steps) for steps in options.steps]}
    if options.auto_round:
        pairs["auto-round"] = auto_round(options, calibration)
    if not options.without_peer:
        pairs["brevitas"] = [theirs(options, calibration, steps) for steps in options.steps]
    count = (options.steps[1] - options.steps[0]) * blocks
    found = {}
    for name, (begin, end) in pairs.items():
        found[name], found[f"{name}, processor"] = ((b - a) / count for a, b in zip(begin, end))
    return found


def main():
    parser = peer.parser(__doc__, windows=16)
    parser.add_argument("--steps", default="2,12", type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--auto-round", help="a Python with the auto-round package")
    parser.add_argument("--blocks", type=int, default=0, help="of the model; 0: all")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--amp", default="auto", choices=["auto", "true", "false"])
    options = parser.parse_args()
    calibration = peer.token_windows(options.model, options.calibration, options.length, options.windows)
    blocks = options.blocks or json.loads((Path(options.model) / "config.json").read_text())["num_hidden_layers"]
    with tempfile.TemporaryDirectory() as folder:
        if options.blocks:
            options.model = first_blocks(options.model, options.blocks, folder)
        rounds = [measure(options, calibration, blocks) for _ in range(options.rounds)]
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    for name in [name for name in found if name.startswith(("auto-round", "brevitas"))]:
        found[f"times {name}"] = found[name] / found["laconic, processor" if name.endswith("processor") else "laconic"]
    if options.json:
        print(json.dumps(found))
    else:
        print("  ".join(f"{name} {value:.3f}" + ("" if name.startswith("times") else " s a step") for name, value in found.items()))


if __name__ == "__main__":
    peer.choose_python()
    sys.exit(main())
