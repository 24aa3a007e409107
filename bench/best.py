#!/usr/bin/env python3
"""Which recipe is best for a budget of bits: chosen on one part of the calibration text, reported on another text.

usage: best.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--budgets w4,w3,w2] [--solvers gptq,gptaq,qronos] [--windows 128]
               [--choice-windows 40] [--evaluation-windows 100] [--length 512] [--threads 2] [--jobs 1] [--program FILE]

A candidate is TRANSFORM/QUANTIZER/SOLVER. Each is calibrated on the first four fifths of the calibration text and judged by its
perplexity on the last fifth; EVALUATION is read for the float model and for all candidates, but chooses nothing. TRANSFORM: none,
merged (rotations that leave the architecture as it is) or online (before down-projections too). QUANTIZER: groups of 128 for
4 bits, of 64 below, symmetric or with a zero point (asym).
"""
import argparse
import concurrent.futures
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRANSFORMS = {
    "none": "",
    "merged": "transforms: [{name: fold_norms}, {name: rotate}]\n",
    "online": "transforms: [{name: fold_norms}, {name: rotate, online: true}]\n",
}
QUANTIZERS = {
    "sym": "statistic: mse",
    "asym": "signed: false, zero_point: integer, statistic: mse",
}
SOLVERS = {
    "nearest": ("nearest", "{}"),
    "gptq": ("gptq", "{damping: 0.01, activation_order: true}"),
    "gptaq": ("gptaq", "{damping: 0.01, activation_order: true}"),
    "qronos": ("qronos", "{damping: 1e-3, activation_order: true}"),
}
GROUPS = {"w4": 128, "w3": 64, "w2": 64}


def recipe(budget, transform, quantizer, solver, options):
    name, solver_options = SOLVERS[solver]
    return (f"calibration: {{windows: {options.windows}, length: {options.length}}}\n{TRANSFORMS[transform]}rules:\n"
            f"  - weight: {{bits: {budget[1]}, granularity: group, group_size: {GROUPS[budget]}, {QUANTIZERS[quantizer]}}}\n"
            f"    solver: {name}\n    solver_options: {solver_options}\n")


def split(path, folder):
    """The first four fifths of a text, and the rest."""
    text = Path(path).read_text()
    cut = text.find("\n", len(text) * 4 // 5) + 1
    parts = folder / "first.txt", folder / "last.txt"
    for part, words in zip(parts, (text[:cut], text[cut:])):
        part.write_text(words)
    return parts


def run_json(options, *words):
    command = [options.program, *words, "--threads", options.threads, "--json", "--quiet"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def perplexity(options, model, text, windows):
    return run_json(options, "evaluate", "perplexity", model, "--text", text, "--context", options.length, "--windows", windows)["perplexity"]


def measure(candidate, options, parts, folder):
    out = folder / "-".join(candidate)
    file = out.with_suffix(".yaml")
    file.write_text(recipe(*candidate, options))
    done = run_json(options, "quantize", options.model, "--recipe", file, "--calibration", parts[0], "--out", out)
    return {"budget": candidate[0], "candidate": "/".join(candidate[1:]), "bits": done["bits_per_weight"], "seconds": done["seconds"],
            "chosen by": perplexity(options, out, parts[1], options.choice_windows),
            "evaluation": perplexity(options, out, options.evaluation, options.evaluation_windows)}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "evaluation"):
        parser.add_argument(name)
    parser.add_argument("--budgets", default="w4,w3,w2")
    parser.add_argument("--solvers", default="gptq,gptaq,qronos")
    parser.add_argument("--program", default=ROOT / "build/release/bin/laconic")
    for name, value in {"windows": 128, "choice-windows": 40, "evaluation-windows": 100, "length": 512, "threads": 2, "jobs": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def main():
    options = parse_options()
    candidates = list(itertools.product(options.budgets.split(","), TRANSFORMS, QUANTIZERS, options.solvers.split(",")))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = split(options.calibration, folder)
        print(f"float: {perplexity(options, options.model, parts[1], options.choice_windows):.4f} on the text that chooses, "
              f"{perplexity(options, options.model, options.evaluation, options.evaluation_windows):.4f} on the evaluation text")
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            work = [pool.submit(measure, candidate, options, parts, folder) for candidate in candidates]
            rows = []
            for done in concurrent.futures.as_completed(work):
                rows.append(done.result())
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    for budget in options.budgets.split(","):
        for row in sorted((row for row in rows if row["budget"] == budget), key=lambda row: row["chosen by"]):
            print(f"{budget} {row['candidate']:22} {row['bits']:.2f} bits  chosen by {row['chosen by']:8.4f}  "
                  f"evaluation {row['evaluation']:8.4f}  {row['seconds']:6.1f} s")


if __name__ == "__main__":
    main()
