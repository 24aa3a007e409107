#!/usr/bin/env python3
"""check_static_inputs.py NATIVE EXPORT: every static input of the native directory is quantized by the
`compressed-tensors` package, with what the export holds, to the same numbers bit for bit. Unsigned codes are signed ones there:
the sum with another zero point may round a number half way between two codes otherwise, by one step."""
import json
import pathlib
import sys

import torch
from compressed_tensors.quantization import QuantizationConfig
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from safetensors.torch import load_file


def tensors_of(folder):
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def expected(x, spec, scale, zero_point):
    """The formula of the specification, in float32."""
    low = -2 ** (spec["bits"] - 1) if spec["signed"] else 0
    code = torch.clamp(torch.round(x / scale + zero_point), low, low + 2 ** spec["bits"] - 1)
    return (code - zero_point) * scale


def main():
    native, export = map(pathlib.Path, sys.argv[1:])
    layers = json.loads((native / "laconic.json").read_text())["layers"]
    config = json.loads((export / "config.json").read_text())["quantization_config"]
    QuantizationConfig.model_validate(config)
    (group,) = config["config_groups"].values()
    arguments = QuantizationConfig.model_validate(config).config_groups["group_0"].input_activations
    if arguments.dynamic or group["format"] != "int-quantized":
        sys.exit(f"expected int-quantized with static inputs, got {group}")
    ours, theirs = tensors_of(native), tensors_of(export)
    generator = torch.Generator().manual_seed(1)
    for layer in layers:
        name = layer["name"]
        scale = ours[name + ".input_scale"]
        zero_point = ours.get(name + ".input_zero_point", torch.zeros(()))
        x = torch.randn(64, layer["shape"][1], generator=generator) * scale * 100
        read = fake_quantize(x, theirs[name + ".input_scale"],
                             theirs.get(name + ".input_zero_point", torch.zeros(1, dtype=torch.int8)), arguments)
        difference = (read - expected(x, layer["input"], scale, zero_point)).abs()
        other = (difference > 0).double().mean().item()
        if other > (0 if layer["input"]["signed"] else 1e-4) or difference.max() > 1.001 * scale:
            sys.exit(f"{name}: its input is quantized otherwise by the package")
    print(f"{len(layers)} inputs are quantized alike")
    return 0 if layers else 1


if __name__ == "__main__":
    sys.exit(main())
