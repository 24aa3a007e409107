#!/usr/bin/env python3
"""Makes new random golden cases by running the peer, in the form that laconic_golden reads.

usage: make_cases.py DIRECTORY [--seed N] [--weights N] [--layers N]

Writes DIRECTORY/manifest.json and a safetensors file for each area: `weight_int` (compositions of a weight's integer
quantizer) and `error_feedback` (GPTQ of small networks). Needs the packages of tools/requirements/bench.txt.
Compositions that the peer refuses or answers with NaN are left out. Then: build/release/bin/laconic_golden DIRECTORY
"""
import argparse
import json
import os
import random

import torch
from safetensors.torch import save_file

import gptq_cases
import weight_cases


class Recorder:
    """One case with its tensors."""

    def __init__(self, area, number, operation, options, tolerance):
        self.id, self.tensors = f"{area}.{number:04d}", {}
        self.case = {"id": self.id, "area": area, "op": operation, "options": options, "file": f"{area}.safetensors",
                     "inputs": {}, "outputs": {}, "grads": {}, "none": [], "expect": {}, "tol": tolerance}

    def put(self, kind, name, tensor):
        tensor = tensor.detach().float().clone().contiguous()
        key = f"{self.id}/{kind}.{name}"
        self.tensors[key] = tensor
        self.case[kind][name] = {"key": key, "shape": list(tensor.shape), "dtype": "float32"}

    def has_nan(self):
        return any(tensor.isnan().any() for tensor in self.tensors.values())


def collect(area, maker, count, rng):
    cases, tensors, tries = [], {}, 0
    while len(cases) < count and tries < 20 * count + 20:
        tries += 1
        recorder = maker(lambda *what: Recorder(area, len(cases), *what), rng)
        if recorder is None or recorder.has_nan():
            continue
        cases.append(recorder.case)
        tensors.update(recorder.tensors)
    return cases, tensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=int, default=100)
    parser.add_argument("--layers", type=int, default=40)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    torch.manual_seed(options.seed)
    os.makedirs(options.directory, exist_ok=True)
    manifest = []
    for area, maker, count in (("weight_int", weight_cases.make, options.weights),
                               ("error_feedback", gptq_cases.make, options.layers)):
        cases, tensors = collect(area, maker, count, rng)
        if cases:
            save_file(tensors, os.path.join(options.directory, f"{area}.safetensors"))
        manifest += cases
        print(f"{area}: {len(cases)} cases")
    with open(os.path.join(options.directory, "manifest.json"), "w") as file:
        json.dump({"format": "laconic-golden-cases/1", "case_count": len(manifest), "cases": manifest,
                   "default_tolerance": {"rtol": 1e-5, "atol": 1e-6, "mismatch": 0.0}}, file)


if __name__ == "__main__":
    main()
