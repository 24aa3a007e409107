#!/usr/bin/env python3
"""The whole job of one model beside brevitas': load + calibrate + solve + write, then evaluation apart; one run.

usage: whole_job.py MODEL_DIR CALIBRATION.txt EVALUATION.txt [--recipe w4a16-g128-gptq] [--windows 128]
                    [--length 512] [--threads 2] [--evaluation-windows 100] [--program build/release/bin/laconic]
                    [--without-peer] [--json]

Both use the same calibration windows and float32; each side is a process of its own. Job: from the start of reading the model
to the last byte written, without the start of the program and without Python's imports (both are printed apart). Memory: the
largest resident set of the whole process up to there. Evaluation: the same windows, the package in the faster of batches of 1
and 8, with plain linear layers in place of its quantized ones. Needs: pip install -r tools/requirements/bench.txt.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peer

CELLS = {"w4a16-g128-gptq": (4, 128, "gptq"), "w4a16-gptq": (4, 0, "gptq"), "w3a16-g64-gptq": (3, 64, "gptq"),
         "w4a16-g128": (4, 128, "nearest"), "w4a16": (4, 0, "nearest"), "w3a16-g128": (3, 128, "nearest")}


def run_json(command):
    """Standard output as JSON, the wall time, and the peak memory in MiB."""
    with tempfile.TemporaryFile("w+") as out:
        begin = time.perf_counter()
        child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"failed ({child.returncode}): {' '.join(map(str, command))}")
        out.seek(0)
        return json.loads(out.read()), wall, usage.ru_maxrss / 1024


def ours(options, folder):
    out = folder / "ours"
    job, wall, peak = run_json(
        [options.program, "quantize", options.model, "--recipe", options.recipe, "--calibration", options.calibration,
         "--set", f"calibration.windows={options.windows}", "--set", f"calibration.length={options.length}",
         "--threads", options.threads, "--out", out, "--json"])
    result, _, _ = run_json(
        [options.program, "evaluate", "perplexity", out, "--text", options.evaluation, "--context", options.length,
         "--windows", options.evaluation_windows, "--threads", options.threads, "--json"])
    report = {key: value for key, value in job["report"].items() if key.endswith("_seconds")}
    return {"seconds": job["seconds"], "start_seconds": wall - job["seconds"], "peak_mib": peak,
            "perplexity": result["perplexity"], "evaluation_seconds": result["seconds"], "parts": report,
            "offsets": job["calibration_offsets"]}


def theirs(options, folder, offsets):
    given, out = folder / "offsets.json", folder / "peer.json"
    given.write_text(json.dumps(offsets))
    subprocess.run([sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--child", given, out], check=True,
                   stdout=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"})
    return json.loads(out.read_text())


def child(options, given, out):
    begin = time.perf_counter()
    import brevitas_examples.llm.main  # noqa: F401  imports are timed apart
    import torch
    result = {"start_seconds": time.perf_counter() - begin}
    begin = time.perf_counter()
    ids = peer.token_ids(options.model, options.calibration)
    windows = [ids[offset:offset + options.length] for offset in json.loads(Path(given).read_text())]
    network, _ = peer.quantize(options.model, windows, peer.arguments(*CELLS[options.recipe]), options.threads)
    torch.save(network.state_dict(), str(out) + ".pt")
    result.update(seconds=time.perf_counter() - begin, peak_mib=peer.peak_mib())
    peer.fold(network)
    texts = peer.token_windows(options.model, options.evaluation, options.length, options.evaluation_windows)
    batch = min((1, 8), key=lambda size: peer.perplexity(network, texts[:8], size)[1])
    result["perplexity"], result["evaluation_seconds"] = peer.perplexity(network, texts, batch)
    result["evaluation_batch"] = batch
    Path(out).write_text(json.dumps(result))


def ratios(ours, theirs):
    return {"times_faster": theirs["seconds"] / ours["seconds"], "part_of_its_memory": ours["peak_mib"] / theirs["peak_mib"],
            "evaluation_times_faster": theirs["evaluation_seconds"] / ours["evaluation_seconds"],
            "perplexity_above": ours["perplexity"] / theirs["perplexity"] - 1}


def print_table(result):
    rows = [("job, s", "seconds", "times_faster", "{:.1f} times faster"),
            ("peak memory, MiB", "peak_mib", "part_of_its_memory", "{:.2f} of its memory"),
            ("evaluation, s", "evaluation_seconds", "evaluation_times_faster", "{:.2f} times faster"),
            ("perplexity", "perplexity", "perplexity_above", "{:+.4f} relative")]
    for label, key, ratio, text in rows:
        line = f"{label:18} laconic {result['ours'][key]:9.3f}"
        if "peer" in result:
            line += f"   brevitas {result['peer'][key]:9.3f}   {text.format(result['ratios'][ratio])}"
        print(line)
    print("parts of the job:", ", ".join(f"{key[:-8]} {value:.2f} s" for key, value in result["ours"]["parts"].items()))


def parse_options():
    parser = peer.parser(__doc__, windows=128)
    parser.add_argument("--recipe", default="w4a16-g128-gptq", choices=CELLS)
    return parser.parse_args()


def main():
    options = parse_options()
    if options.child:
        return child(options, *options.child)
    with tempfile.TemporaryDirectory() as folder:
        result = {"recipe": options.recipe, "windows": options.windows, "length": options.length, "threads": options.threads,
                  "ours": ours(options, Path(folder))}
        if not options.without_peer:
            result["peer"] = theirs(options, Path(folder), result["ours"]["offsets"])
            result["ratios"] = ratios(result["ours"], result["peer"])
    print(json.dumps(result, indent=1)) if options.json else print_table(result)


if __name__ == "__main__":
    peer.choose_python()
    main()
