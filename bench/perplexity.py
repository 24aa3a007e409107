#!/usr/bin/env python3
"""Perplexity of one model in few bits, ours beside brevitas' with the same settings.

usage: perplexity.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--cells w4-channel-nearest,w4a4-channel-rotated-qronos]
                     [--quantizers full_range:absmax,largest_code:mse] [--windows 32] [--evaluation-windows 100]
                     [--length 512] [--threads 2] [--peer FILE] [--without-peer] [--follow] [--json]

A cell is BITS-GRANULARITY-SOLVER or BITS-GRANULARITY-rotated-SOLVER. BITS: w2, w3, w4, or w4a4 (inputs too, asymmetric, a
token at a time). GRANULARITY: channel, or g and the size of a group. rotated: norms folded, residual stream and values by
Hadamard matrices in the weights, inputs of down- and output projections at run time (QuaRot). SOLVER: nearest, gptq, gpfq,
gptaq, qronos, autoround, adaround or brecq; the package has no gptaq, adaround and brecq. The last figure of a row is the mean over layers of the relative squared error of
the layer's output; with --follow, beside the output in the float network (|X W - X~ Q|^2 / |X W|^2).

Both calibrate on the first windows of the text, in float32, with the columns in activation order, and are evaluated by the
same rule. A quantizer is threshold:statistic of ours; the package's own settings are full_range:absmax (scale =
absmax / 2^(b-1)). FILE keeps the package's figures (JSON, cell to perplexity): cells in it are not run again, new ones are
added. Needs for the package: pip install -r tools/requirements/bench.txt.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import peer

CELLS = [f"{bits}-{granularity}-{solver}" for bits in ("w4", "w3") for granularity in ("channel", "g128")
         for solver in ("nearest", "gptq")]


LEARNED = ("autoround", "adaround", "brecq")  # without columns, damping and order
OURS_ALONE = ("gptaq", "adaround", "brecq")

ROTATED = """transforms:
  - name: fold_norms
  - {name: rotate, residual: hadamard, heads: hadamard, online: true}
"""

class Cell:
    def __init__(self, name):
        words = name.split("-")
        bits, granularity, self.solver = words[0], words[1], words[-1]
        self.bits, self.input_bits = int(bits[1]), 4 if bits.endswith("a4") else 0
        self.group_size = 0 if granularity == "channel" else int(granularity[1:])
        self.rotated = "rotated" in words[2:-1]


def solver_options(cell):
    """Damping as each paper has it; Qronos's depends on whether inputs are quantized."""
    damping = {"gptq": "0.01", "gptaq": "0.01", "qronos": "1e-3" if cell.input_bits else "1e-6"}.get(cell.solver)
    if cell.solver in LEARNED:
        return "{}"
    return "{activation_order: true%s}" % (f", damping: {damping}" if damping else "")


def recipe(cell, quantizer, options):
    threshold, statistic = quantizer.split(":")
    granularity = f"granularity: group, group_size: {cell.group_size}" if cell.group_size else "granularity: channel"
    lines = ["rules:", "  - layers: blocks", "    weight: {bits: %d, %s, statistic: %s, threshold: %s}" %
             (cell.bits, granularity, statistic, threshold)]
    if cell.input_bits:
        lines.append(f"    input: {{bits: {cell.input_bits}, granularity: token, zero_point: integer, statistic: min_max}}")
    lines.append(f"    solver: {cell.solver}")
    if cell.solver != "nearest":
        lines.append("    solver_options: " + solver_options(cell))
    if cell.solver != "nearest" or options.follow:
        follow = ", follow_float: true" if options.follow else ""
        lines.insert(0, f"calibration: {{windows: {options.windows}, length: {options.length}{follow}}}")
    return (ROTATED if cell.rotated else "") + "\n".join(lines) + "\n"


def write_ids(path, windows):
    import numpy
    numpy.save(path, numpy.array(windows, dtype=numpy.int64))


def run_json(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(map(str, command))}")
    return json.loads(done.stdout)


def ours(name, quantizer, options, folder):
    """Perplexity, mean output error of the layers (None when not known), seconds to quantize."""
    cell, file, out = Cell(name), folder / "recipe.yaml", folder / "out"
    file.write_text(recipe(cell, quantizer, options))
    calibrated = ["--calibration", folder / "ids.npy"] if cell.solver != "nearest" or options.follow else []
    done = run_json([options.program, "quantize", options.model, "--recipe", file, "--out", out, "--overwrite", "--threads",
                     options.threads, "--json", *calibrated])
    kind = "followed_error" if options.follow else "output_error"
    errors = [layer[kind] for layer in done["report"]["layers"] if layer[kind] is not None]
    found = run_json([options.program, "evaluate", "perplexity", out, "--text", options.evaluation, "--context",
                      options.length, "--windows", options.evaluation_windows, "--threads", options.threads, "--json"])
    return {"laconic": found["perplexity"], "output_error": sum(errors) / len(errors) if errors else None,
            "seconds": done["seconds"]}


def theirs(cell, options, calibration):
    cell = Cell(cell)
    words = peer.arguments(cell.bits, cell.group_size, cell.solver, cell.input_bits, cell.rotated)
    network, _ = peer.quantize(options.model, calibration, words, options.threads)
    if not cell.input_bits and not cell.rotated:
        peer.fold(network)
    windows = peer.token_windows(options.model, options.evaluation, options.length, options.evaluation_windows)
    return peer.perplexity(network, windows)[0]


def theirs_kept(cell, options, calibration):
    """From FILE; else measured in a process of its own, and put there."""
    file = Path(options.peer or "/nonexistent")
    known = json.loads(file.read_text()) if file.exists() else {}
    if cell not in known and not options.without_peer and Cell(cell).solver not in OURS_ALONE:
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
    parser.add_argument("--follow", action="store_true")
    return parser.parse_args()


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
        write_ids(folder / "ids.npy", calibration)
        for cell in options.cells.split(","):
            other = theirs_kept(cell, options, calibration)
            for quantizer in options.quantizers.split(","):
                row = {"cell": cell, "quantizer": quantizer, **ours(cell, quantizer, options, folder)}
                if other is not None:
                    row.update(brevitas=other, above=row["laconic"] / other - 1)
                rows.append(row)
                if not options.json:
                    beside = f"brevitas {other:8.4f}  {100 * row['above']:+7.2f} %" if other is not None else " " * 27
                    error = f"{row['output_error']:.5f}" if row["output_error"] is not None else "-"
                    print(f"{cell:26} {quantizer:18} laconic {row['laconic']:8.4f}  {beside}  {row['seconds']:6.1f} s  "
                          f"{error}", flush=True)
    if options.json:
        print(json.dumps({"model": options.model, "windows": options.windows, "rows": rows}))


if __name__ == "__main__":
    peer.choose_python()
    main()
