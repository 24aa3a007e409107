#!/usr/bin/env python3
"""The whole job beside the peer: load + calibrate + solve + write of one model, ours and brevitas', in one run.

usage: whole_job.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--recipe w4a16-g128-gptq] [--windows 128]
                    [--length 512] [--threads 2] [--evaluation-windows 100] [--program build/release/bin/laconic]
                    [--without-peer]

Both use the same calibration windows and float32. Each side runs in a process of its own; wall time and peak memory are
the operating system's. Perplexity is measured apart, by the same rule (windows of --length, one prediction less each).
Needs for the peer: pip install -r tools/requirements/bench.txt. Prints one JSON object last.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

PEER_WEIGHTS = {
    "w4a16-g128": ["--weight-bit-width", "4", "--weight-quant-granularity", "per_group", "--weight-group-size", "128"],
    "w4a16": ["--weight-bit-width", "4", "--weight-quant-granularity", "per_channel"],
    "w3a16-g128": ["--weight-bit-width", "3", "--weight-quant-granularity", "per_group", "--weight-group-size", "128"],
    "w3a16": ["--weight-bit-width", "3", "--weight-quant-granularity", "per_channel"],
}


def run_measured(command, environment=None):
    """Runs a command; returns (wall seconds, peak MiB, standard output)."""
    with tempfile.TemporaryFile("w+") as out:
        begin = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        if status != 0:
            sys.exit(f"failed ({status}): {' '.join(command)}")
        out.seek(0)
        return wall, usage.ru_maxrss / 1024, out.read()


def ours(options, folder):
    out = os.path.join(folder, "ours")
    command = [options.program, "quantize", options.model, "--recipe", options.recipe, "--calibration", options.calibration,
               "--set", f"calibration.windows={options.windows}", "--set", f"calibration.length={options.length}",
               "--threads", str(options.threads), "--out", out, "--json"]
    wall, peak, text = run_measured(command)
    evaluation = [options.program, "evaluate", "perplexity", out, "--text", options.evaluation, "--context", str(options.length),
                  "--windows", str(options.evaluation_windows), "--threads", str(options.threads), "--json"]
    seconds, _, result = run_measured(evaluation)
    return {"seconds": wall, "peak_mib": peak, "perplexity": json.loads(result)["perplexity"], "evaluation_seconds": seconds,
            "report": json.loads(text).get("report", {})}


def peer(options, folder):
    out = os.path.join(folder, "peer.json")
    command = [sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--peer-child", out]
    wall, _, _ = run_measured(command, {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"})
    with open(out) as file:
        measured = json.load(file)
    # Imports and evaluation run in the same process but are not part of the job.
    return {"seconds": wall - sum(measured[k] for k in ("evaluation_seconds", "import_seconds", "fold_seconds")),
            "import_seconds": measured["import_seconds"], "peak_mib": measured["peak_mib_before_evaluation"],
            "perplexity": measured["perplexity"], "evaluation_seconds": measured["evaluation_seconds"]}


def token_windows(options, path, count):
    import torch
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(os.path.join(options.model, "tokenizer.json"))
    with open(path, encoding="utf-8") as file:
        ids = tokenizer.encode(file.read(), add_special_tokens=False).ids
    count = min(count, len(ids) // options.length)
    return [torch.tensor([ids[i * options.length:(i + 1) * options.length]]) for i in range(count)]


def peer_model(options):
    """brevitas' own language-model entry point, with local text in place of its data sets."""
    import brevitas_examples.llm.llm_quant.gpxq as gpxq
    import brevitas_examples.llm.main as entry
    from brevitas_examples.common.parse_utils import parse_args
    calibration = [{"input_ids": w[0].tolist()} for w in token_windows(options, options.calibration, options.windows)]
    entry.get_dataset_for_model = lambda split="train", **rest: calibration
    # Its block loop names the device "cuda"; this machine may have none.
    send = gpxq.send_to_device
    gpxq.send_to_device = lambda value, device: send(value, "cpu")
    weights, _, _ = options.recipe.partition("-gptq")
    arguments = ["--model", options.model, "--dtype", "float32", "--nsamples", str(options.windows), "--seqlen", str(options.length),
                 "--calibration-batch-size", "8", "--dataset", "wikitext2", *PEER_WEIGHTS[weights]]
    if options.recipe.endswith("-gptq"):
        arguments += ["--gptq", "--gpxq-act-order", "--gpxq-block-name", "model.layers"]
    parsed, extra = parse_args(entry.create_args_parser(), arguments)
    parsed.eval = False
    _, model = entry.quantize_llm(parsed, extra)
    return model


def peer_child(options):
    begin = time.perf_counter()
    import math
    import resource
    import warnings

    import torch
    import brevitas_examples.llm.main  # noqa: F401  imports are timed apart
    warnings.filterwarnings("ignore")
    import_seconds = time.perf_counter() - begin
    torch.set_num_threads(options.threads)
    model = peer_model(options)
    torch.save(model.state_dict(), options.peer_child + ".pt")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    finished = time.perf_counter()
    # Its fastest way to evaluate: plain layers with the dequantized weights.
    fold(model)
    fold_seconds = time.perf_counter() - finished
    start = time.perf_counter()
    total, count = 0.0, 0
    with torch.no_grad():
        for ids in token_windows(options, options.evaluation, options.evaluation_windows):
            logits = model(input_ids=ids)["logits"][0, :-1].float()
            total += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
            count += ids.numel() - 1
    with open(options.peer_child, "w") as file:
        json.dump({"perplexity": math.exp(total / count), "evaluation_seconds": time.perf_counter() - start,
                   "fold_seconds": fold_seconds, "import_seconds": import_seconds, "peak_mib_before_evaluation": peak}, file)


def fold(model):
    """Replaces quantized linear layers by plain ones that hold the dequantized weights."""
    import brevitas.nn as qnn
    import torch
    from accelerate.hooks import remove_hook_from_submodules
    remove_hook_from_submodules(model)
    with torch.no_grad():
        for name, module in list(model.named_modules()):
            if not isinstance(module, qnn.QuantLinear) or not module.weight_quant.is_quant_enabled:
                continue
            weight = module.quant_weight()
            plain = torch.nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
            plain.weight.data = getattr(weight, "value", weight).detach().clone()
            if module.bias is not None:
                plain.bias.data = module.bias.data
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, plain)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "evaluation"):
        parser.add_argument(name)
    parser.add_argument("--recipe", default="w4a16-g128-gptq")
    parser.add_argument("--windows", type=int, default=128)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluation-windows", type=int, default=100)
    parser.add_argument("--program", default="build/release/bin/laconic")
    parser.add_argument("--without-peer", action="store_true")
    parser.add_argument("--peer-child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer_child:
        return peer_child(options)
    with tempfile.TemporaryDirectory() as folder:
        result = {"recipe": options.recipe, "windows": options.windows, "length": options.length, "threads": options.threads,
                  "ours": ours(options, folder)}
        if not options.without_peer:
            result["peer"] = peer(options, folder)
            result["ratios"] = {
                "times_faster": result["peer"]["seconds"] / result["ours"]["seconds"],
                "part_of_its_memory": result["ours"]["peak_mib"] / result["peer"]["peak_mib"],
                "evaluation_times_faster": result["peer"]["evaluation_seconds"] / result["ours"]["evaluation_seconds"],
                "perplexity_above": result["ours"]["perplexity"] / result["peer"]["perplexity"] - 1}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
