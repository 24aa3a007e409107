#!/usr/bin/env python3
"""Perplexity of one model in few bits, ours beside brevitas' with the same settings.

usage: perplexity.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--cells w4-channel-nearest,w4a4-channel-rotated-qronos]
                     [--quantizers full_range:absmax,largest_code:mse] [--windows 32] [--evaluation-windows 100]
                     [--length 512] [--seeds 1] [--jobs 1] [--threads 2] [--device cpu] [--peer FILE] [--without-peer]
                     [--follow] [--amp auto] [--json]

A cell is BITS-GRANULARITY-SOLVER or BITS-GRANULARITY-TRANSFORM-SOLVER. BITS: w2, w3, w4, w4a4 (inputs too, asymmetric, a
token at a time), w4a4kv4 (keys and values too), mxfp4 or nvfp4 (weights and inputs). GRANULARITY: channel, or g and the size
of a group (g32 for mxfp4, g16 for nvfp4). TRANSFORM: hadamard (norms folded, residual stream and values by Hadamard matrices
in the weights), rotated (inputs of down- and output projections at run time as well: QuaRot; queries and keys too where keys are
quantized), blocks (as rotated, in runs of
32 features) or spun (SpinQuant: as rotated, then learned). SOLVER: nearest, gptq, gpfq, gptaq, qronos, autoround, adaround or
brecq. The package has no gptaq, adaround and brecq; of the others it runs all but nvfp4, plain or rotated (it rotates no
keys). The last figure of a row is the mean over layers of the relative squared error of the layer's output; with --follow,
beside the output in the float network (|X W - X~ Q|^2 / |X W|^2). With --seeds N ours runs with N sets of windows, one behind
the other: the mean, and the standard deviation after it. --amp (auto, true, false) says whether autoround and brecq learn with
matrix products in bfloat16.

Both calibrate on the first windows of the text, in float32, with the columns in activation order, and are evaluated by the
same rule. A quantizer is threshold:statistic of ours; the package's own settings are full_range:absmax (scale =
absmax / 2^(b-1)). FILE keeps the package's figures (JSON, cell to perplexity): cells in it are not run again, new ones are
added. Needs for the package: pip install -r tools/requirements/bench.txt.
"""
import concurrent.futures
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import peer

CELLS = [f"{bits}-{granularity}-{solver}" for bits in ("w4", "w3") for granularity in ("channel", "g128")
         for solver in ("nearest", "gptq")]


LEARNED = ("autoround", "adaround", "brecq")  # without columns, damping and order
OURS_ALONE = ("gptaq", "adaround", "brecq")

TRANSFORMS = {
    "hadamard": "{name: rotate, residual: hadamard, heads: hadamard}",
    "rotated": "{name: rotate, residual: hadamard, heads: hadamard, online: true}",
    "blocks": "{name: rotate, residual: hadamard, heads: hadamard, online: true, block_size: 32}",
    "spun": "{name: spin, residual: hadamard, heads: hadamard, online: true, steps: 200, batch: 8, rate: 10}",
}
BLOCK_FORMATS = {
    "mxfp4": "{format: e2m1, granularity: group, axis: -1, group_size: 32, restriction: power_of_two, "
             "power_rounding: floor, threshold: largest_power}",
    "nvfp4": "{format: e2m1, granularity: group, axis: -1, group_size: 16, restriction: quantized_by, "
             "scale_quantizer: {format: e4m3}}",
}
INPUT = "{bits: 4, granularity: token, zero_point: integer, statistic: min_max}"
CACHE = "{bits: 4, signed: false, granularity: token, zero_point: integer, statistic: min_max}"


class Cell:
    def __init__(self, name):
        words = name.split("-")
        bits, granularity, self.solver = words[0], words[1], words[-1]
        self.bits_word, self.format = bits, BLOCK_FORMATS.get(bits)
        self.bits, self.input_bits = 4 if self.format else int(bits[1]), 4 if self.format or "a4" in bits else 0
        self.caches = bits.endswith("kv4")
        self.group_size = 0 if granularity == "channel" else int(granularity[1:])
        self.transform = next(iter(words[2:-1]), None)

    def is_ours_alone(self):
        return self.solver in OURS_ALONE or self.bits_word == "nvfp4" or self.transform not in (None, "rotated")


def solver_options(cell, options):
    """Damping as each paper has it; Qronos's depends on whether inputs are quantized."""
    damping = {"gptq": "0.01", "gptaq": "0.01", "qronos": "1e-3" if cell.input_bits else "1e-6"}.get(cell.solver)
    if cell.solver in LEARNED:
        return "{}" if cell.solver == "adaround" else f"{{amp: {options.amp}}}"
    return "{activation_order: true%s}" % (f", damping: {damping}" if damping else "")


def needs_text(cell, options):
    return cell.solver != "nearest" or cell.transform == "spun" or options.follow


def recipe(cell, quantizer, options):
    threshold, statistic = quantizer.split(":")
    granularity = f"granularity: group, group_size: {cell.group_size}" if cell.group_size else "granularity: channel"
    weight = cell.format or f"{{bits: {cell.bits}, {granularity}, statistic: {statistic}, threshold: {threshold}}}"
    lines = ["rules:", "  - layers: blocks", f"    weight: {weight}"]
    if cell.input_bits:
        lines.append(f"    input: {cell.format or INPUT}")
    lines.append(f"    solver: {cell.solver}")
    if cell.solver != "nearest":
        lines.append("    solver_options: " + solver_options(cell, options))
    if cell.caches:
        lines += ["attention:", f"  - keys: {CACHE}", f"    values: {CACHE}"]
    if needs_text(cell, options):
        follow = ", follow_float: true" if options.follow else ""
        lines.insert(0, f"calibration: {{windows: {options.windows}, length: {options.length}{follow}}}")
    if cell.transform:
        rotation = TRANSFORMS[cell.transform]
        if cell.caches:
            rotation = rotation.replace("online: true", "online: true, keys: true")
        lines = ["transforms:", "  - name: fold_norms", f"  - {rotation}", *lines]
    return "\n".join(lines) + "\n"


def write_ids(path, windows):
    import numpy
    numpy.save(path, numpy.array(windows, dtype=numpy.int64))


def run_json(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(map(str, command))}")
    return json.loads(done.stdout)


def ours_once(name, quantizer, options, folder, seed):
    """Perplexity, mean output error of the layers (None when not known), seconds to quantize."""
    cell, place = Cell(name), folder / f"{name}-{quantizer.replace(':', '-')}-{seed}"
    place.mkdir()
    file, out = place / "recipe.yaml", place / "out"
    file.write_text(recipe(cell, quantizer, options))
    common = ["--threads", options.threads, "--device", options.device, "--json"]
    calibrated = ["--calibration", folder / f"ids-{seed}.npy"] if needs_text(cell, options) else []
    done = run_json([options.program, "quantize", options.model, "--recipe", file, "--out", out, *calibrated, *common])
    kind = "followed_error" if options.follow else "output_error"
    errors = [layer[kind] for layer in done["report"]["layers"] if layer[kind] is not None]
    found = run_json([options.program, "evaluate", "perplexity", out, "--text", options.evaluation, "--context",
                      options.length, "--windows", options.evaluation_windows, *common])
    shutil.rmtree(place)
    return {"laconic": found["perplexity"], "output_error": sum(errors) / len(errors) if errors else None,
            "seconds": done["seconds"]}


def ours(name, quantizer, options, folder):
    """The mean over the sets of windows, with the deviation of the perplexity where there are several."""
    seeds = options.seeds if needs_text(Cell(name), options) else 1
    runs = [ours_once(name, quantizer, options, folder, seed) for seed in range(seeds)]
    perplexities = [run["laconic"] for run in runs]
    row = {"cell": name, "quantizer": quantizer, "laconic": statistics.mean(perplexities),
           "deviation": statistics.stdev(perplexities) if seeds > 1 else None,
           "seconds": statistics.mean(run["seconds"] for run in runs)}
    known = [run["output_error"] for run in runs if run["output_error"] is not None]
    return row | {"output_error": statistics.mean(known) if known else None}


def theirs(cell, options, calibration):
    cell = Cell(cell)
    words = peer.arguments(cell.bits, cell.group_size, cell.solver, cell.input_bits, cell.transform == "rotated",
                           mxfp4=cell.bits_word == "mxfp4", caches=cell.caches)
    network, _ = peer.quantize(options.model, calibration, words, options.threads)
    if not cell.input_bits and not cell.transform:
        peer.fold(network)
    windows = peer.token_windows(options.model, options.evaluation, options.length, options.evaluation_windows)
    return peer.perplexity(network, windows)[0]


def theirs_kept(cell, options, calibration):
    """From FILE; else measured in a process of its own, and put there."""
    file = Path(options.peer or "/nonexistent")
    known = json.loads(file.read_text()) if file.exists() else {}
    if cell not in known and not options.without_peer and not Cell(cell).is_ours_alone():
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            subprocess.run([sys.executable, __file__, *sys.argv[1:], "--child", cell, result], check=True,
                           stdout=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"})
            known[cell] = json.loads(result.read_text())
        if options.peer:
            file.write_text(json.dumps(known, indent=1))
    return known.get(cell)


def parse_options():
    parser = peer.parser(__doc__, windows=32)
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--quantizers", default="full_range:absmax")
    parser.add_argument("--peer")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--follow", action="store_true")
    parser.add_argument("--amp", default="auto", choices=["auto", "true", "false"])
    return parser.parse_args()


def show(row):
    beside = f"brevitas {row['brevitas']:8.4f}  {100 * row['above']:+7.2f} %" if "brevitas" in row else " " * 27
    deviation = f"+-{row['deviation']:.4f}" if row["deviation"] is not None else " " * 8
    error = f"{row['output_error']:.5f}" if row["output_error"] is not None else "-"
    print(f"{row['cell']:30} {row['quantizer']:18} laconic {row['laconic']:8.4f} {deviation}  {beside}  "
          f"{row['seconds']:6.1f} s  {error}", flush=True)


def measure(options, calibration, folder):
    """Rows in the order of the cells: the package's one by one, then ours, --jobs at a time."""
    cells = options.cells.split(",")
    others = {cell: theirs_kept(cell, options, calibration) for cell in cells}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        work = [pool.submit(ours, cell, quantizer, options, folder)
                for cell in cells for quantizer in options.quantizers.split(",")]
        for done in work:
            row, other = done.result(), others[done.result()["cell"]]
            if other is not None:
                row.update(brevitas=other, above=row["laconic"] / other - 1)
            yield row


def main():
    options = parse_options()
    calibration = peer.token_windows(options.model, options.calibration, options.length, options.windows)
    if options.child:
        cell, result = options.child
        Path(result).write_text(json.dumps(theirs(cell, options, calibration)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(options.seeds):
            write_ids(folder / f"ids-{seed}.npy", peer.token_windows(options.model, options.calibration, options.length,
                                                                     options.windows, seed))
        for row in measure(options, calibration, folder):
            rows.append(row)
            if not options.json:
                show(row)
    if options.json:
        print(json.dumps({"model": options.model, "windows": options.windows, "rows": rows}))


if __name__ == "__main__":
    peer.choose_python()
    main()
