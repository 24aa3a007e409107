#!/usr/bin/env python3
"""Holds logits of Laconic against those of transformers, on small random models of every architecture.

  compare_logits.py PROGRAM [--only WORDS] [--keep DIR]

PROGRAM is laconic_logits. Both sides read the same directory and compute in float32; logits must agree to 1e-4.
Where a case has a feature that can be turned off, the reference must give other logits without it, so that a case
cannot pass by leaving its feature out. Ends with exit code 77 where transformers is not installed."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from logits_cases import Case, all_cases

TOLERANCE = 1e-4
BATCH = 2


def random_model(case: Case, seed: int):
    """Weights large enough that every part matters, logits of about one."""
    torch.manual_seed(seed)
    model_class = getattr(transformers, case.architecture())
    model = model_class(model_class.config_class(**case.config({})))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            is_norm_weight = parameter.dim() == 1 and name.endswith("weight")
            unit = 0 if case.family.startswith("Gemma") else 1  # of a norm's weight that does nothing
            width = parameter.shape[0 if case.family == "GPT2" else -1]
            parameter.copy_(unit + 0.2 * noise if is_norm_weight else
                            0.3 * noise if parameter.dim() == 1 else 2 * noise / width**0.5)
    return model


def write_model(case: Case, directory: pathlib.Path, seed: int) -> None:
    random_model(case, seed).to(case.dtype).save_pretrained(directory, max_shard_size=case.shard)
    if case.edit_tensors is not None:
        file = directory / "model.safetensors"
        save_file(case.edit_tensors(load_file(file)), file, metadata={"format": "pt"})
    if case.edit_config is not None:
        file = directory / "config.json"
        config = json.loads(file.read_text())
        case.edit_config(config)
        file.write_text(json.dumps(config, indent=2))


def reference_logits(case: Case, directory: pathlib.Path, ids: torch.Tensor, changes: dict) -> torch.Tensor:
    config = transformers.AutoConfig.from_pretrained(directory)
    for key, value in changes.items():
        setattr(config, key, value)
    model_class = getattr(transformers, case.architecture())
    model = model_class.from_pretrained(directory, config=config, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        return model.eval()(ids).logits


def make_case(case: Case, directory: pathlib.Path, seed: int) -> dict:
    write_model(case, directory, seed)
    ids = torch.randint(0, 97, (BATCH, case.length), generator=torch.Generator().manual_seed(seed))
    save_file({"input_ids": ids}, f"{directory}.ids.safetensors")
    expected = reference_logits(case, directory, ids, {})
    without = reference_logits(case, directory, ids, case.neutral) if case.neutral else None
    return {"case": case, "expected": expected, "without": without, "directory": directory}


def judge(made: dict) -> str:
    """Empty when it is right."""
    file = pathlib.Path(f"{made['directory']}.logits.safetensors")
    if not file.exists():
        return "no logits"
    expected = made["expected"]
    made["difference"] = (load_file(file)["logits"] - expected).abs().max().item()
    if not 0.1 < expected.std().item() < 30 or not expected.isfinite().all():
        return f"the reference's logits say nothing: their deviation is {expected.std().item():.3g}"
    if made["without"] is not None and (made["without"] - expected).abs().max().item() < 100 * TOLERANCE:
        return "the feature makes no difference in the reference"
    return "" if made["difference"] <= TOLERANCE else f"logits differ by {made['difference']:.3g}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--only", default="", help="cases whose name holds these words")
    parser.add_argument("--keep", type=pathlib.Path, help="put the models here and leave them")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or pathlib.Path(temporary)
        cases = [case for case in all_cases() if arguments.only in case.name]
        made = [make_case(case, root / str(seed), seed) for seed, case in enumerate(cases)]
        answer = subprocess.run([arguments.program, *[str(one["directory"]) for one in made]], check=False)
        faults = [judge(one) for one in made]
    for one, fault in zip(made, faults):
        print(f"{'FAILED' if fault else 'ok':6} {one['case'].name:42} {one.get('difference', float('nan')):.1e} {fault}")
    right = faults.count("")
    print(f"{right} of {len(faults)} equal transformers {transformers.__version__} to {TOLERANCE}")
    return 0 if right == len(faults) and right > 0 and answer.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
