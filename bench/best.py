#!/usr/bin/env python3
"""Which recipe is best for a budget of bits: chosen on one part of the calibration text, reported on another text.

usage: best.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--budgets w4,w3,w2,w4a4] [--transforms none,merged,online]
               [--quantizers sym,asym] [--inputs ocp] [--solvers gptq,gptaq,qronos,autoround] [--windows 128] [--choice-windows 40]
               [--evaluation-windows 100] [--length 512] [--threads 2] [--jobs 1] [--device cpu] [--program FILE]

A candidate is TRANSFORM/QUANTIZER/SOLVER. The calibration text is cut into forty stretches: each candidate is calibrated on four of
every five and judged by its perplexity on the others; EVALUATION is read for the float model and for all candidates, but chooses nothing. TRANSFORM: none,
merged (rotations within the weights: the architecture stays), online (before down- and output projections too), blocks (as online,
in runs of 32 features) or permuted (blocks, features in blocks of equal mass first).
QUANTIZER: groups of 128 for 4 bits, of 64 below, symmetric or with a zero point (asym). w4a4: inputs too, a token at a time.
mxfp4: weights and inputs; QUANTIZER is the rule of the weights' powers of two, MXFP4's own (ocp), or searched by squared error
(search), or rounded up or to nearest (up, near); --inputs the same for the inputs, of which a candidate is QUANTIZER+INPUTS.
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
STRETCHES = 40
TRANSFORMS = {
    "none": "",
    "merged": "transforms: [{name: fold_norms}, {name: rotate}]\n",
    "blocks": "transforms: [{name: fold_norms}, {name: rotate, residual: hadamard, heads: hadamard, online: true, block_size: 32}]\n",
    "permuted": "transforms: [{name: fold_norms}, {name: permute, order: massdiff, block_size: 32}, {name: rotate, residual: "
                "random_hadamard, heads: random_hadamard, online: true, block_size: 32}]\n",
    "online": "transforms: [{name: fold_norms}, {name: rotate, residual: hadamard, heads: hadamard, online: true}]\n",
}
QUANTIZERS = {
    "sym": "statistic: mse",
    "sym-absmax": "statistic: absmax",
    "asym": "signed: false, zero_point: integer, statistic: min_max",
}
POWERS = {
    "ocp": "power_rounding: floor, threshold: largest_power",
    "search": "power_rounding: nearest, threshold: largest_code, statistic: mse",
    "near": "power_rounding: nearest, threshold: largest_code",
    "up": "power_rounding: ceil, threshold: largest_code",
}
SOLVERS = {
    "nearest": ("nearest", "{}"),
    "gptq": ("gptq", "{damping: 0.01, activation_order: true}"),
    "gptaq": ("gptaq", "{damping: 0.01, activation_order: true}"),
    "qronos": ("qronos", "{damping: 1e-3, activation_order: true}"),
    "autoround": ("autoround", "{}"),
    "autoround-short": ("autoround", "{steps: 50}"),
    "autoround-long": ("autoround", "{steps: 1000}"),
}
GROUPS = {"w4": 128, "w3": 64, "w2": 64, "w4a4": 128}


def mxfp4(power):
    return f"{{format: e2m1, granularity: group, axis: -1, group_size: 32, restriction: power_of_two, {POWERS[power]}}}"


def quantizers(budget, quantizer):
    """Of weights and of inputs ("": float), as YAML."""
    if budget == "mxfp4":
        weight, _, inputs = quantizer.partition("+")
        return mxfp4(weight), mxfp4(inputs)
    inputs = "{bits: 4, granularity: token, zero_point: integer, statistic: min_max}" if budget.endswith("a4") else ""
    return f"{{bits: {budget[1]}, granularity: group, group_size: {GROUPS[budget]}, {QUANTIZERS[quantizer]}}}", inputs


def recipe(candidate, options):
    budget, transform, quantizer, solver = candidate
    name, solver_options = SOLVERS[solver]
    weight, inputs = quantizers(budget, quantizer)
    inputs = f"    input: {inputs}\n" if inputs else ""
    return (f"calibration: {{windows: {options.windows}, length: {options.length}}}\n{TRANSFORMS[transform]}rules:\n"
            f"  - layers: blocks\n    weight: {weight}\n{inputs}    solver: {name}\n    solver_options: {solver_options}\n")


def split(path, folder):
    """A text in forty stretches of whole lines: four of each five, and every fifth, so that both have all kinds of the text."""
    text = Path(path).read_text()
    cuts = [0] + [text.find("\n", len(text) * i // STRETCHES) + 1 for i in range(1, STRETCHES)] + [len(text)]
    stretches = [text[begin:end] for begin, end in zip(cuts, cuts[1:])]
    parts = folder / "calibration.txt", folder / "choice.txt"
    for part, chooses in zip(parts, (False, True)):
        part.write_text("".join(words for i, words in enumerate(stretches) if (i % 5 == 4) == chooses))
    return parts


def run_json(options, *words):
    command = [options.program, *words, "--threads", options.threads, "--device", options.device, "--json", "--quiet"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def perplexity(options, model, text, windows):
    return run_json(options, "evaluate", "perplexity", model, "--text", text, "--context", options.length, "--windows",
                    windows)["perplexity"]


def measure(candidate, options, parts, folder):
    out = folder / "_".join(candidate)
    file = out.with_suffix(".yaml")
    file.write_text(recipe(candidate, options))
    done = run_json(options, "quantize", options.model, "--recipe", file, "--calibration", parts[0], "--out", out)
    return {"budget": candidate[0], "candidate": "/".join(candidate[1:]), "bits": done["bits_per_weight"],
            "seconds": done["seconds"], "chosen by": perplexity(options, out, parts[1], options.choice_windows),
            "evaluation": perplexity(options, out, options.evaluation, options.evaluation_windows)}


def measure_all(candidates, options, parts, folder):
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        work = [pool.submit(measure, candidate, options, parts, folder) for candidate in candidates]
        for done in concurrent.futures.as_completed(work):
            print(json.dumps(done.result()), file=sys.stderr, flush=True)
            yield done.result()


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "evaluation"):
        parser.add_argument(name)
    for name, value in {"budgets": "w4,w3,w2", "transforms": "none,merged", "quantizers": "sym,asym",
                        "inputs": "ocp", "solvers": "gptq,gptaq,qronos,autoround", "device": "cpu"}.items():
        parser.add_argument(f"--{name}", default=value)
    parser.add_argument("--program", default=ROOT / "build/release/bin/laconic")
    for name, value in {"windows": 128, "choice-windows": 40, "evaluation-windows": 100, "length": 512, "threads": 2,
                        "jobs": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def main():
    options = parse_options()
    lists = [words.split(",") for words in (options.budgets, options.transforms, options.quantizers, options.solvers)]
    if lists[0] == ["mxfp4"]:
        lists[2] = [f"{weight}+{inputs}" for weight in lists[2] for inputs in options.inputs.split(",")]
    candidates = list(itertools.product(*lists))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = split(options.calibration, folder)
        chooses = perplexity(options, options.model, parts[1], options.choice_windows)
        reported = perplexity(options, options.model, options.evaluation, options.evaluation_windows)
        print(f"float: {chooses:.4f} on the text that chooses, {reported:.4f} on the evaluation text", flush=True)
        rows = list(measure_all(candidates, options, parts, folder))
    for row in sorted(rows, key=lambda row: (row["budget"], row["chosen by"])):
        print(f"{row['budget']:5} {row['candidate']:30} {row['bits']:.2f} bits  chosen by {row['chosen by']:9.4f}  "
              f"evaluation {row['evaluation']:9.4f}  {row['seconds']:6.1f} s")


if __name__ == "__main__":
    main()
