#!/usr/bin/env python3
"""Seconds that the auto-round package takes for a model, run by a Python that has it (learned_rounding.py --auto-round).

usage: auto_round_peer.py MODEL_DIR IDS.json --steps 2,12 [--bits 4] [--group-size 128] [--batch 8] [--threads 2]
                          [--device cpu]

IDS.json holds windows of token ids. The package's defaults otherwise: its steps are in bfloat16 on a GPU and where the
processor has instructions for it, else in float32. What it compiles for later runs is compiled before, in a run that does
not count. Prints one JSON object: by number of steps, seconds and those of the processor.
Needs: pip install auto-round.
"""
import argparse
import json
import os
import sys
import time


def run(options, windows, steps):
    """Seconds of one run, and those of the processor."""
    import torch
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    data = [{"input_ids": row[None], "attention_mask": torch.ones_like(row[None])} for row in windows]
    rounder = AutoRound(model, AutoTokenizer.from_pretrained(options.model), bits=options.bits, group_size=options.group_size,
                        sym=True, iters=steps, seqlen=windows.shape[1], nsamples=len(windows), batch_size=options.batch,
                        dataset=data, device_map=options.device)
    begin, busy = time.perf_counter(), time.process_time()
    rounder.quantize()
    if options.device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - begin, time.process_time() - busy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("ids")
    parser.add_argument("--steps", required=True, type=lambda text: [int(word) for word in text.split(",")])
    for name, default in {"bits": 4, "group-size": 128, "batch": 8, "threads": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    options = parser.parse_args()
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch
    torch.set_num_threads(options.threads)
    with open(options.ids) as file:
        windows = torch.tensor(json.load(file))
    run(options, windows, 1)
    print(json.dumps({steps: run(options, windows, steps) for steps in options.steps}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
