#!/usr/bin/env python3
"""The largest memory of a quantization under a hard limit: a Llama with random weights, made here.

usage: memory.py [--layers 16] [--width 2048] [--mlp 8192] [--vocabulary 128256] [--windows 16] [--length 512]
                 [--head 64] [--untied] [--recipe w4a16-g128-gptq] [--host-memory 2GiB|none] [--device cpu]
                 [--device-memory SIZE] [--threads 2] [--folder DIR] [--program build/release/bin/laconic] [--json]

With --host-memory none it only says where the time goes; eight billion parameters on a GPU:
memory.py --layers 32 --width 4096 --mlp 14336 --head 128 --untied --windows 128 --length 2048 --device cuda --host-memory none
The same with --device-memory 12GiB says whether that limit is kept, and how near its plan comes.

Makes the model (bfloat16, tied head; 2.5 GB as above, removed at the end) and random token ids, and quantizes with activations
on disk. Prints the largest resident set (VmHWM) and, where a memory control group can be made (as root), the
group's peak: the program then runs under a hard limit of the kernel, which also counts the pages of the files that it reads and
writes. Needs numpy and torch to make the model.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "GB": 10**9, "MB": 10**6}


def bytes_of(text):
    unit = next(unit for unit in UNITS if text.endswith(unit))
    return int(float(text[:-len(unit)]) * UNITS[unit])


def make_model(options, folder):
    import numpy
    import torch
    from safetensors.torch import save_file
    head, heads = options.head, options.width // options.head
    kv_heads = max(1, heads // 4)
    device = options.device
    generator = torch.Generator(device).manual_seed(1)

    def matrix(rows, columns):
        return (torch.randn(rows, columns, generator=generator, device=device) * 0.02).to(torch.bfloat16).cpu()

    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": options.width,
              "intermediate_size": options.mlp, "num_hidden_layers": options.layers, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "head_dim": head, "vocab_size": options.vocabulary, "rms_norm_eps": 1e-5,
              "rope_theta": 500000.0, "max_position_embeddings": 131072, "tie_word_embeddings": not options.untied, "hidden_act": "silu",
              "torch_dtype": "bfloat16"}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    norm = torch.ones(options.width, dtype=torch.bfloat16)
    files = {"rest": {"model.embed_tokens.weight": matrix(options.vocabulary, options.width), "model.norm.weight": norm}}
    if options.untied:
        files["rest"]["lm_head.weight"] = matrix(options.vocabulary, options.width)
    names = {}
    for i in range(-1, options.layers):
        tensors = files.pop("rest") if i < 0 else {}
        if i >= 0:
            at = f"model.layers.{i}."
            shapes = {"self_attn.q_proj": (heads * head, options.width), "self_attn.k_proj": (kv_heads * head, options.width),
                      "self_attn.v_proj": (kv_heads * head, options.width), "self_attn.o_proj": (options.width, heads * head),
                      "mlp.gate_proj": (options.mlp, options.width), "mlp.up_proj": (options.mlp, options.width),
                      "mlp.down_proj": (options.width, options.mlp)}
            tensors = {at + name + ".weight": matrix(*shape) for name, shape in shapes.items()}
            tensors |= {at + name + ".weight": norm.clone() for name in ("input_layernorm", "post_attention_layernorm")}
        shard = f"model-{i + 2:05}-of-{options.layers + 1:05}.safetensors"
        save_file(tensors, folder / shard, {"format": "pt"})
        names |= dict.fromkeys(tensors, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    ids = numpy.random.default_rng(1).integers(0, options.vocabulary, options.windows * options.length)
    numpy.save(folder.parent / "ids.npy", ids)


@contextlib.contextmanager
def control_group(limit):
    """A memory group with this hard limit, of either version; None where none can be made."""
    unified = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    group = Path("/sys/fs/cgroup" if unified else "/sys/fs/cgroup/memory") / f"laconic-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.max" if unified else "memory.limit_in_bytes")).write_text(str(limit))
    except OSError as error:
        print(f"no control group ({error}): the resident set alone is measured", file=sys.stderr)
        group = group.rmdir() if group.exists() else None
    try:
        yield group
    finally:
        if group is not None:
            group.rmdir()


def run(command, group):
    def enter():
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.run([str(word) for word in command], stdout=out, preexec_fn=enter)
        if child.returncode != 0:
            sys.exit(f"failed ({child.returncode}): {' '.join(map(str, command))}")
        out.seek(0)
        report = json.load(out)
    peak = None
    if group is not None:
        peak = next(int((group / name).read_text()) for name in ("memory.peak", "memory.max_usage_in_bytes")
                    if (group / name).exists())
    parts = {name: value for name, value in report["report"].items() if name.endswith("_seconds")}
    return {"seconds": time.perf_counter() - begin, "parts": parts, "resident_peak": report["peak_bytes"], "group_peak": peak,
            "memory": report["report"].get("memory"), "layers": len(report["report"]["layers"])}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"layers": 16, "width": 2048, "mlp": 8192, "vocabulary": 128256, "windows": 16, "length": 512,
                          "threads": 2, "head": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--recipe", default="w4a16-g128-gptq")
    parser.add_argument("--host-memory", default="2GiB", help="none: no limit")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--device-memory", help="with --device cuda; default: no limit")
    parser.add_argument("--untied", action="store_true", help="the head has a weight of its own")
    parser.add_argument("--folder", help="where the model is made; default: the system's place for temporary files")
    parser.add_argument("--program", default="build/release/bin/laconic")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    options = parse_options()
    limit = None if options.host_memory == "none" else bytes_of(options.host_memory)
    kept = contextlib.nullcontext() if limit is None else control_group(limit)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, kept as group:
        make_model(options, Path(folder) / "model")
        result = run([options.program, "quantize", Path(folder) / "model", "--recipe", options.recipe, "--calibration",
                      Path(folder) / "ids.npy", "--set", f"calibration.windows={options.windows}", "--set",
                      f"calibration.length={options.length}", "--threads", options.threads, "--device",
                      options.device, *(["--host-memory", options.host_memory] if limit else []),
                      *(["--device-memory", options.device_memory] if options.device_memory else []), "--out",
                      Path(folder) / "out", "--json"], group)
    result["limit"] = limit
    if options.json:
        return print(json.dumps(result, indent=1))
    print(f"{result['layers']} layers in {result['seconds']:.0f} s; resident set at most {result['resident_peak'] / 2**20:.0f} MiB")
    print(", ".join(f"{name.removesuffix('_seconds')} {value:.1f} s" for name, value in result["parts"].items()))
    if options.device_memory:
        device, place = result["memory"]["device"], result["memory"]["activations"]
        print(f"device: at most {device['peak'] / 2**20:.0f} MiB of {device['limit'] / 2**20:.0f} MiB, planned "
              f"{device['planned'] / 2**20:.0f} MiB, {result['memory']['batch']} windows at once, activations in {place}: "
              f"{'held' if device['peak'] <= device['limit'] else 'BROKEN'}")
    if limit is None:
        return
    if result["group_peak"] is not None:
        print(f"control group, with pages of files: at most {result['group_peak'] / 2**20:.0f} MiB")
    print(f"limit {limit / 2**20:.0f} MiB: {'held' if result['resident_peak'] < limit else 'BROKEN'}")


if __name__ == "__main__":
    main()
