"""How bench/ drives the peer: the language-model entry point of the brevitas package, with local text.

Needs: pip install -r tools/requirements/bench.txt. Three things of the package are replaced from outside: its loader of
data sets (they come from a hub), the device "cuda" that its block-wise loop names, and its perplexity (perplexity() below
counts the predictions that laconic counts).
"""
import argparse
import math
import os
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BATCH = 8  # windows that the peer calibrates on at once


def choose_python():
    """Goes on in the Python that LACONIC_PYTHON names, or in .venv-bench when there is one."""
    environment = ROOT / ".venv-bench/bin/python"
    chosen = os.environ.get("LACONIC_PYTHON") or (str(environment) if environment.exists() else "")
    if chosen and os.path.abspath(chosen) != os.path.abspath(sys.executable):
        os.execv(chosen, [chosen, *sys.argv])


def parser(description, windows):
    """The options that scripts share which compare language models."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "calibration", "evaluation"):
        options.add_argument(name)
    options.add_argument("--windows", type=int, default=windows)
    options.add_argument("--evaluation-windows", type=int, default=100)
    options.add_argument("--length", type=int, default=512)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--device", default="cpu", help="of ours")
    options.add_argument("--program", default=ROOT / "build/release/bin/laconic")
    options.add_argument("--without-peer", action="store_true")
    options.add_argument("--json", action="store_true")
    options.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return options


def token_ids(model, path):
    """Of a text, or those of a .npy file."""
    if str(path).endswith(".npy"):
        import numpy
        return numpy.load(path).tolist()
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    return tokenizer.encode(Path(path).read_text(encoding="utf-8"), add_special_tokens=False).ids


def token_windows(model, path, length, count, seed=0):
    """The first `count` windows of a text, `length` tokens each; with seed 1 those behind them, and so on."""
    ids = token_ids(model, path)[seed * count * length:]
    return [ids[i * length:(i + 1) * length] for i in range(min(count, len(ids) // length))]


def microscaling(part):
    """MXFP4: e2m1 under a power of two, rounded down, for 32 numbers."""
    return [f"--{part}-bit-width", "4", f"--{part}-quant-format", "float_ocp_e2m1", f"--{part}-quant-type", "sym",
            f"--{part}-scale-precision", "po2_scale", f"--{part}-quant-granularity", "per_group", f"--{part}-group-size", "32"]


def arguments(bits, group_size, solver, input_bits=0, rotated=False, mxfp4=False, caches=False):
    """The package's words for a cell; group_size 0: one scale a channel; input_bits 0: float inputs; caches: keys and values like inputs."""
    words = ["--weight-bit-width", str(bits), "--weight-quant-granularity"]
    words += ["per_group", "--weight-group-size", str(group_size)] if group_size else ["per_channel"]
    if mxfp4:
        words = [*microscaling("weight"), *microscaling("input"), "--input-scale-type", "dynamic",
                 "--scale-rounding-func-type", "floor"]
    elif input_bits:
        words += ["--input-bit-width", str(input_bits), "--input-scale-type", "dynamic", "--input-quant-granularity",
                  "per_row", "--input-quant-type", "asym"]
    if caches:  # keys and values; a token of a head has its scale
        words += ["--quant-sdpa", "eager", "--attn-quant-config", "kv", "--attn-bit-width", str(input_bits)]
    if rotated:
        words += ["--rotation", "fused_no_fx", "--replace-rmsnorm", "--rotation-mode", "had", "--rotation-orphan-sink",
                  "--rotation-sdpa-regions"]
    if solver == "autoround":
        words += learned_rounding(200)
    elif solver != "nearest":
        words += [f"--{solver}", "--gpxq-act-order", "--gpxq-block-name", "model.layers"]
    return words


def learned_rounding(steps):
    """The package's words for AutoRound: offsets by signed gradients, scales by gradients, block by block."""
    return ["--learned-round", "identity", "--learned-round-iters", str(steps), "--learned-round-scale", "--gpxq-block-name",
            "model.layers", "--calibration-batch-size", "1"]


def quantize(model, windows, words, threads):
    """The quantized model, and the seconds from loading it on."""
    import brevitas_examples.llm.llm_quant.gpxq as gpxq
    import brevitas_examples.llm.main as entry
    import torch
    from brevitas_examples.common.parse_utils import parse_args
    warnings.filterwarnings("ignore")
    torch.set_num_threads(threads)
    entry.get_dataset_for_model = lambda split="train", **rest: [{"input_ids": list(window)} for window in windows]
    if not hasattr(gpxq, "plain_send"):
        gpxq.plain_send = gpxq.send_to_device
        gpxq.send_to_device = lambda value, device: gpxq.plain_send(value, "cpu")
    parsed, extra = parse_args(entry.create_args_parser(), [
        "--model", str(model), "--dtype", "float32", "--nsamples", str(len(windows)), "--seqlen", str(len(windows[0])),
        "--calibration-batch-size", str(BATCH), "--dataset", "wikitext2", *words])
    parsed.eval = False
    begin = time.perf_counter()
    _, network = entry.quantize_llm(parsed, extra)
    return network, time.perf_counter() - begin


def fold(network):
    """Plain linear layers with the dequantized weights in place of quantized ones: its fastest way to evaluate."""
    import brevitas.nn as qnn
    import torch
    from accelerate.hooks import remove_hook_from_submodules
    remove_hook_from_submodules(network)
    for name, module in list(network.named_modules()):
        if not isinstance(module, qnn.QuantLinear) or not module.weight_quant.is_quant_enabled:
            continue
        with torch.no_grad():
            weight = module.quant_weight()
        plain = torch.nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
        plain.weight.data = getattr(weight, "value", weight).detach().clone()
        if module.bias is not None:
            plain.bias.data = module.bias.data
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, plain)


def float_model(model):
    import torch
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


def perplexity(network, windows, batch=1):
    """Perplexity of windows (one prediction less than tokens each), and the seconds it took."""
    import torch
    begin, total, count = time.perf_counter(), 0.0, 0
    with torch.inference_mode():
        for first in range(0, len(windows), batch):
            ids = torch.tensor(windows[first:first + batch])
            logits = network(input_ids=ids, use_cache=False).logits[:, :-1].float()
            total += torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1),
                                                       reduction="sum").item()
            count += ids[:, 1:].numel()
    return math.exp(total / count), time.perf_counter() - begin


def peak_mib(process="self"):
    """The largest resident set so far. Not ru_maxrss: a child begins with what its parent held when it was made."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")
