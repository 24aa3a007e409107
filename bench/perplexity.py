#!/usr/bin/env python3
"""Perplexity of one model in 4 and 3 bits, by round to nearest and error feedback, ours beside brevitas' with the same settings.

usage: perplexity.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--cells w4-channel-nearest,w3-g128-gptq]
                     [--quantizers full_range:absmax,largest_code:mse] [--windows 32] [--evaluation-windows 100]
                     [--length 512] [--threads 2] [--peer FILE] [--without-peer] [--json]

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


def parse_cell(cell):
    bits, granularity, solver = cell.split("-")
    return int(bits[1:]), 0 if granularity == "channel" else int(granularity[1:]), solver


def recipe(cell, quantizer):
    bits, group_size, solver = parse_cell(cell)
    threshold, statistic = quantizer.split(":")
    granularity = f"granularity: group, group_size: {group_size}" if group_size else "granularity: channel"
    lines = ["rules:", "  - layers: blocks", "    weight: {bits: %d, %s, statistic: %s, threshold: %s}" %
             (bits, granularity, statistic, threshold), f"    solver: {solver}"]
    if solver != "nearest":
        lines.append("    solver_options: {activation_order: true}")
    return "\n".join(lines) + "\n"


def write_ids(path, windows):
    import numpy
    numpy.save(path, numpy.array(windows, dtype=numpy.int64))


def run_json(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(map(str, command))}")
    return json.loads(done.stdout)


def ours(cell, quantizer, options, folder):
    file, out = folder / "recipe.yaml", folder / "out"
    text = recipe(cell, quantizer)
    calibrates = not cell.endswith("nearest")
    if calibrates:
        text = f"calibration: {{windows: {options.windows}, length: {options.length}}}\n" + text
    file.write_text(text)
    run_json([options.program, "quantize", options.model, "--recipe", file, "--out", out, "--overwrite", "--threads",
              options.threads, "--json", *(["--calibration", folder / "ids.npy"] if calibrates else [])])
    return run_json([options.program, "evaluate", "perplexity", out, "--text", options.evaluation, "--context", options.length,
                     "--windows", options.evaluation_windows, "--threads", options.threads, "--json"])["perplexity"]


def theirs(cell, options, calibration):
    network, _ = peer.quantize(options.model, calibration, peer.arguments(*parse_cell(cell)), options.threads)
    peer.fold(network)
    windows = peer.token_windows(options.model, options.evaluation, options.length, options.evaluation_windows)
    return peer.perplexity(network, windows)[0]


def theirs_kept(cell, options, calibration):
    """From FILE; else measured in a process of its own, and put there."""
    file = Path(options.peer or "/nonexistent")
    known = json.loads(file.read_text()) if file.exists() else {}
    if cell not in known and not options.without_peer:
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
                row = {"cell": cell, "quantizer": quantizer, "laconic": ours(cell, quantizer, options, folder)}
                if other is not None:
                    row.update(brevitas=other, above=row["laconic"] / other - 1)
                rows.append(row)
                if not options.json:
                    beside = f"  brevitas {other:8.4f}  {100 * row['above']:+7.2f} %" if other is not None else ""
                    print(f"{cell:20} {quantizer:20} laconic {row['laconic']:8.4f}{beside}", flush=True)
    if options.json:
        print(json.dumps({"model": options.model, "windows": options.windows, "rows": rows}))


if __name__ == "__main__":
    peer.choose_python()
    main()
