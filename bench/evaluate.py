#!/usr/bin/env python3
"""Reading and evaluating a text with a float model: ours beside the tokenizers and transformers packages, in one run.

usage: evaluate.py MODEL_DIR TEXT [--windows 100] [--length 512] [--threads 2] [--json]

Needs build/release/bin/tokenize_bench (configure with -DLACONIC_BENCH=ON) and a Python with the packages of
tools/requirements/test.txt. Ours is measured before and after the package; the slower one counts. transformers runs in the
faster of batches of 1 and 8 windows.
"""
import argparse
import json
import subprocess
import time
from pathlib import Path

import peer

BIN = peer.ROOT / "build/release/bin"


def run_json(*command):
    done = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(done.stdout)


def our_evaluation(options):
    return run_json(BIN / "laconic", "evaluate", "perplexity", options.model, "--text", options.text, "--context", options.length,
                    "--windows", options.windows, "--threads", options.threads, "--json")


def evaluation(options):
    import torch
    torch.set_num_threads(options.threads)
    before = our_evaluation(options)
    network = peer.float_model(options.model)
    windows = peer.token_windows(options.model, options.text, options.length, options.windows)
    batch = min((1, 8), key=lambda size: peer.perplexity(network, windows[:8], size)[1])
    perplexity, seconds = peer.perplexity(network, windows, batch)
    after = our_evaluation(options)
    return {"what": "evaluate", "tokens": len(windows) * options.length, "seconds": max(before["seconds"], after["seconds"]),
            "peer_seconds": seconds, "peer_batch": batch, "perplexity": after["perplexity"], "peer_perplexity": perplexity}


def tokenization(options, repeats=5):
    from tokenizers import Tokenizer
    before = run_json(BIN / "tokenize_bench", options.model, options.text, repeats)
    tokenizer = Tokenizer.from_file(str(Path(options.model) / "tokenizer.json"))
    text, theirs = Path(options.text).read_text(encoding="utf-8"), []
    for _ in range(repeats):
        begin = time.perf_counter()
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        theirs.append(time.perf_counter() - begin)
    after = run_json(BIN / "tokenize_bench", options.model, options.text, repeats)
    assert len(ids) == after["tokens"], (len(ids), after["tokens"])
    return {"what": "tokenize", "tokens": len(ids), "seconds": max(min(before["seconds"]), min(after["seconds"])),
            "peer_seconds": min(theirs)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [tokenization(options), evaluation(options)]
    for row in rows:
        row["times_faster"] = row["peer_seconds"] / row["seconds"]
        if not options.json:
            print(f"{row['what']:9} {row['tokens']:7} tokens  laconic {row['seconds']:7.3f} s ({row['tokens'] / row['seconds']:9.0f}/s)"
                  f"   package {row['peer_seconds']:7.3f} s   {row['times_faster']:5.2f} times faster")
    if options.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    peer.choose_python()
    main()
