#!/usr/bin/env python3
"""same_weights.py FILE.gguf DIRECTORY: the weights that the `gguf` package reads from one export of a Llama and those that
`transformers` with `compressed-tensors` read from the other are the same, bit for bit."""
import sys

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM

NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def permuted(weight, heads):
    """The row order of llama.cpp's rotary embedding."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def main():
    file, directory = sys.argv[1:]
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(file).tensors}
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    model(torch.tensor([[1, 2, 3]]))  # the first call decompresses
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    count = 0
    for index, layer in enumerate(model.model.layers):
        for path, short in NAMES.items():
            weight = layer.get_submodule(path).weight.detach().numpy()
            weight = permuted(weight, heads[short]) if short in heads else weight
            if not np.array_equal(weight, tensors[f"blk.{index}.{short}.weight"]):
                sys.exit(f"layer {index} {path}: the two files hold different weights")
            count += 1
    print(f"{count} weights are the same")
    return 0 if count > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
