"""Reads a native directory without Laconic: the meaning that docs/formats.md gives to its bytes, in numpy."""
import json
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file


def stored_tensors(folder):
    """Every stored tensor of a directory with one or more shards."""
    tensors = {}
    for shard in sorted(pathlib.Path(folder).glob("*.safetensors")):
        tensors.update(load_file(shard))
    return tensors


def unpack(rows, bits, count):
    """uint8 [out, ceil(count * bits / 8)], a little-endian bit stream a row -> codes [out, count]."""
    stream = np.unpackbits(rows, axis=1, bitorder="little")[:, :count * bits]
    return stream.reshape(len(rows), count, bits).astype(np.int64) @ (1 << np.arange(bits))


def spread(parameter, spec, shape):
    """A scale or zero point with one value for each weight."""
    if spec["granularity"] != "group":
        return np.broadcast_to(parameter, shape)
    axis = spec["axis"] % 2
    return np.take(np.repeat(parameter.squeeze(axis + 1), spec["group_size"], axis), np.arange(shape[axis]), axis)


HALVES = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def elements_of(spec):
    """By stored code: the numbers of a format that is not of integers; None for integers."""
    tables = {"ternary": [-1, 0, 1], "e2m1": HALVES + [-x for x in HALVES], "table": spec.get("values")}
    return tables.get(spec["format"])


def weight_of(layer, tensors):
    """Float32 weight [out, in] that the codes of one layer stand for."""
    spec, (rows, columns) = layer["weight"], layer["shape"]
    elements = elements_of(spec)
    bits = spec["bits"] if elements is None else (len(elements) - 1).bit_length()
    offset = 1 << (bits - 1) if elements is None and spec["signed"] else 0
    codes = unpack(tensors[layer["name"] + ".weight_codes"].numpy(), bits, columns) - offset
    if elements is not None:
        codes = np.array(elements, np.float32)[codes]
    scale = tensors[layer["name"] + ".weight_scale"].float().numpy()
    zero = tensors.get(layer["name"] + ".weight_zero_point")
    zero = np.float32(0) if zero is None else zero.float().numpy()
    if spec["zero_point"] == "stored_minimum":
        minimum = (-(zero + np.float32(offset)) * scale).astype(np.float16).astype(np.float32)
        steps = (codes + offset).astype(np.float32)
        return steps * spread(scale, spec, (rows, columns)) + spread(minimum, spec, (rows, columns))
    shifted = codes.astype(np.float32) - (spread(zero, spec, (rows, columns)) if np.ndim(zero) else zero)
    return shifted * spread(scale, spec, (rows, columns))


def dense_weights(folder):
    """Checkpoint name -> float32 array of the whole model, quantized layers dequantized, in the checkpoint's orientation."""
    manifest = json.loads((pathlib.Path(folder) / "laconic.json").read_text())
    tensors = stored_tensors(folder)
    dense = {}
    for layer in manifest["layers"]:
        weight = weight_of(layer, tensors)
        dense[layer["weight_name"]] = weight.T if layer["transposed"] else weight
    parts = {f"{layer['name']}.weight_{part}" for layer in manifest["layers"] for part in ("codes", "scale", "zero_point")}
    for name, tensor in tensors.items():
        if name not in parts:
            dense[name] = tensor.to(torch.float32).numpy()
    return dense
