#!/usr/bin/env python3
"""GPTQ of one linear layer given its Hessian: Laconic and the brevitas package in turn, on the same numbers.

    bench/gptq_layer.py [--sizes 512,1024] [--full] [--bits 4] [--group-size 128] [--threads 2] [--json]

Needs build/release/bin/gptq_layer_bench (configure with -DLACONIC_BENCH=ON) and, for the other side, a Python with
torch and brevitas (peer.py says how it is chosen). --full adds the size 2048, whose group-wise case takes the package
minutes. Without brevitas only Laconic is measured. Laconic runs three times before and three times after the package;
the slower of the two best times counts.
"""
import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import peer as peer_package

PROGRAM = peer_package.ROOT / "build/release/bin/gptq_layer_bench"


def inputs(size, seed=0):
    """A weight, and the Hessian of inputs whose neighbours are correlated and whose magnitudes differ."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2 * size, size + 4, generator=generator)
    x = sum(noise[:, k:k + size] * 0.8**k for k in range(5)) * torch.linspace(0.2, 2, size)
    return torch.randn(size, size, generator=generator) * 0.02, x.t() @ x / len(x)


def peer_layer(weight, bits, group_size):
    import brevitas.nn as qnn
    from brevitas.inject.enum import QuantType, ScalingImplType
    import brevitas.quant as bq
    import torch

    if group_size:
        base = __import__("brevitas_examples.common.generative.quantizers", fromlist=["x"])
        quantizer = base.IntWeightSymmetricGroupQuant.let(bit_width=bits, group_size=group_size)
    else:
        quantizer = bq.Int8WeightPerChannelFloat.let(
            bit_width=bits, scaling_impl_type=ScalingImplType.PARAMETER_FROM_STATS)
    layer = qnn.QuantLinear(weight.shape[1], weight.shape[0], bias=False, weight_quant=quantizer)
    layer.weight.data.copy_(weight)
    layer.eval()
    with torch.no_grad():
        layer(torch.zeros(1, weight.shape[1]))  # makes the scales
    return layer


def peer(weight, hessian, arguments, group_size):
    """Seconds and output error of the package's own GPTQ class."""
    import torch
    from brevitas.graph.gptq import GPTQ

    torch.set_num_threads(arguments.threads)
    layer = peer_layer(weight, arguments.bits, group_size)
    solver = GPTQ(layer, "layer", act_order=False, len_parallel_layers=1, create_weight_orig=False, num_blocks=100)
    solver.H = hessian.clone().unsqueeze(0)
    with torch.no_grad():
        start = time.perf_counter()
        solver.single_layer_update()
        seconds = time.perf_counter() - start
        quantized = layer.quant_weight()
        quantized = getattr(quantized, "value", quantized)
    error = weight - quantized
    return seconds, ((error @ hessian * error).sum() / (weight @ hessian * weight).sum()).item()


def ours(folder, weight, hessian, arguments, group_size, repeats=3):
    weight.numpy().tofile(folder / "weight.f32")
    hessian.numpy().tofile(folder / "hessian.f32")
    size = weight.shape[0]
    command = [PROGRAM, folder / "weight.f32", folder / "hessian.f32", size, size, arguments.bits, group_size,
               arguments.threads, repeats]
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    return min(result["seconds"]), result["output_error"]


def measure(size, group_size, arguments, with_peer):
    weight, hessian = inputs(size)
    row = {"size": size, "group_size": group_size}
    with tempfile.TemporaryDirectory() as folder:
        before = ours(Path(folder), weight, hessian, arguments, group_size)
        if with_peer:
            row["peer_seconds"], row["peer_error"] = peer(weight, hessian, arguments, group_size)
        after = ours(Path(folder), weight, hessian, arguments, group_size)  # in turn: the machine may be busy
    row["seconds"], row["error"] = max(before[0], after[0]), after[1]
    if with_peer:
        row["times_faster"] = row["peer_seconds"] / row["seconds"]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="512,1024")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")] + ([2048] if arguments.full else [])
    try:
        import brevitas  # noqa: F401
        with_peer = True
    except ImportError:
        with_peer = False
    rows = []
    for size in sizes:
        for group_size in (0, arguments.group_size):
            row = measure(size, group_size, arguments, with_peer)
            rows.append(row)
            if arguments.json:
                continue
            text = f"{size:5} {'per channel' if group_size == 0 else f'group {group_size}':12}"
            text += f" laconic {row['seconds']:7.3f} s  error {row['error']:.5f}"
            if with_peer:
                text += f"   brevitas {row['peer_seconds']:7.2f} s  error {row['peer_error']:.5f}"
                text += f"   {row['times_faster']:6.1f} times faster"
            print(text, flush=True)
        if not arguments.json:
            print(f"{size:5} groups take {rows[-1]['seconds'] / rows[-2]['seconds']:.2f} of the time of channels")
    if arguments.json:
        print(json.dumps({"bits": arguments.bits, "threads": arguments.threads, "rows": rows}))


if __name__ == "__main__":
    peer_package.choose_python()
    main()
