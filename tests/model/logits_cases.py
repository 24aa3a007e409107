"""Small models of every architecture and feature, for compare_logits.py."""
import dataclasses
from typing import Callable

import torch

LENGTH = 40
DECODER = dict(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
               num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2)
GPT2 = dict(vocab_size=97, n_embd=48, n_layer=3, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
NEOX = dict(vocab_size=97, hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=64, bos_token_id=1, eos_token_id=2)
OPT = dict(vocab_size=97, hidden_size=48, ffn_dim=96, num_hidden_layers=3, num_attention_heads=4,
           max_position_embeddings=64, word_embed_proj_dim=48, bos_token_id=2, eos_token_id=2)
SIZES = {"Llama": DECODER, "Mistral": DECODER, "Qwen2": DECODER, "Qwen3": DECODER | dict(head_dim=16), "GPT2": GPT2,
         "GPTNeoX": NEOX, "OPT": OPT}
CLASSES = {"GPT2": "GPT2LMHeadModel"}


@dataclasses.dataclass
class Case:
    """One model. `neutral` turns the feature off: the reference must then give other logits."""
    name: str
    family: str
    options: dict = dataclasses.field(default_factory=dict)
    neutral: dict = dataclasses.field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    shard: str = "1GB"
    edit_config: Callable[[dict], None] | None = None       # of config.json
    edit_tensors: Callable[[dict], dict] | None = None      # of the stored tensors
    length: int = LENGTH

    def config(self, changes: dict) -> dict:
        return SIZES[self.family] | self.options | changes

    def architecture(self) -> str:
        return CLASSES.get(self.family, f"{self.family}ForCausalLM")


def rope(kind: str, **options) -> dict:
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=10000.0, **options))


LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
PLAIN = rope("default")
ROPES = {
    "linear": rope("linear", factor=4.0),
    "dynamic": rope("dynamic", factor=4.0) | dict(max_position_embeddings=16),
    "llama3": rope("llama3", **LLAMA3),
    "yarn": rope("yarn", factor=4.0, original_max_position_embeddings=16),
    "yarn-attention-factor": rope("yarn", factor=4.0, original_max_position_embeddings=16, attention_factor=0.8),
    "yarn-betas": rope("yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=4.0, beta_slow=2.0),
    "yarn-mscale": rope("yarn", factor=4.0, original_max_position_embeddings=16, mscale=0.7, mscale_all_dim=1.1),
    "yarn-no-truncation": rope("yarn", factor=4.0, original_max_position_embeddings=16, truncate=False),
    "longrope-long": rope("longrope", factor=4.0, original_max_position_embeddings=16,
                          short_factor=[1.0 + i / 8 for i in range(6)], long_factor=[1.5 + i for i in range(6)]),
    "longrope-short": rope("longrope", factor=2.0, original_max_position_embeddings=48,
                           short_factor=[1.0 + i / 8 for i in range(6)], long_factor=[1.5 + i for i in range(6)]),
    "theta": dict(rope_parameters=dict(rope_type="default", rope_theta=500.0)),
}


def old_spelling(config: dict) -> None:
    """rope_theta and rope_scaling {"type"}, as configurations were written before rope_parameters."""
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    parameters.pop("partial_rotary_factor", None)
    kind = parameters.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind} | parameters


def scaling_with_rope_type(config: dict) -> None:
    old_spelling(config)
    config["rope_scaling"]["rope_type"] = config["rope_scaling"].pop("type")


def original_length_outside(config: dict) -> None:
    key = "original_max_position_embeddings"
    config[key] = config["rope_parameters"].pop(key)


def old_neox(config: dict) -> None:
    parameters = config.pop("rope_parameters")
    config["rotary_emb_base"] = parameters["rope_theta"]
    config["rotary_pct"] = parameters["partial_rotary_factor"]


def drop(*keys: str) -> Callable[[dict], None]:
    return lambda config: [config.pop(key, None) for key in keys] and None


def assign(**values) -> Callable[[dict], None]:
    return lambda config: config.update(values)


def without_prefix(prefix: str) -> Callable[[dict], dict]:
    return lambda tensors: {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def with_masks(tensors: dict) -> dict:
    """The buffers that older GPT-2 files hold."""
    masks = {f"transformer.h.{i}.attn.bias": torch.ones(1, 1, 64, 64).tril() for i in range(3)}
    return tensors | masks | {f"transformer.h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(3)}


def neox_as_first_published(tensors: dict) -> dict:
    renamed = {name.replace("lm_head.weight", "embed_out.weight"): tensor for name, tensor in tensors.items()}
    for i in range(3):
        renamed[f"gpt_neox.layers.{i}.attention.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.bool)
        renamed[f"gpt_neox.layers.{i}.attention.masked_bias"] = torch.tensor(-1e9)
        renamed[f"gpt_neox.layers.{i}.attention.rotary_emb.inv_freq"] = torch.ones(2)
    return renamed


def with_frequencies(tensors: dict) -> dict:
    return tensors | {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(6) for i in range(3)}


def with_head(tensors: dict) -> dict:
    return tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}


def decoders() -> list[Case]:
    sliding = dict(use_sliding_window=True, sliding_window=7)
    full = dict(layer_types=["full_attention"] * 3)
    mixed = ["sliding_attention", "full_attention", "sliding_attention"]
    cases = [Case(family, family) for family in ("Llama", "Mistral", "Qwen2", "Qwen3")]
    cases += [Case(f"{family} tied", family, dict(tie_word_embeddings=True)) for family in ("Llama", "Qwen2", "Qwen3")]
    cases += [
        Case("Llama all heads", "Llama", dict(num_key_value_heads=4)),
        Case("Llama one key-value head", "Llama", dict(num_key_value_heads=1)),
        Case("Llama head_dim", "Llama", dict(head_dim=20)),
        Case("Mistral head_dim", "Mistral", dict(head_dim=20)),
        Case("Llama biases", "Llama", dict(attention_bias=True, mlp_bias=True)),
        Case("Qwen3 biases", "Qwen3", dict(attention_bias=True)),
        Case("Llama epsilon", "Llama", dict(rms_norm_eps=0.3), dict(rms_norm_eps=1e-6)),
        Case("Mistral window", "Mistral", dict(sliding_window=7), dict(sliding_window=None)),
        Case("Mistral no window", "Mistral", dict(sliding_window=None)),
        Case("Qwen2 window from layer 1", "Qwen2", sliding | dict(max_window_layers=1), full),
        Case("Qwen2 layer_types", "Qwen2", sliding | dict(layer_types=mixed), full),
        Case("Qwen3 layer_types", "Qwen3", sliding | dict(layer_types=mixed), full),
        Case("Qwen2 window not used", "Qwen2", dict(use_sliding_window=False, sliding_window=7, max_window_layers=0)),
        Case("Qwen2 old window fields", "Qwen2", sliding | dict(max_window_layers=2), full,
             edit_config=drop("layer_types")),
        Case("Llama without prefix", "Llama", dict(tie_word_embeddings=True), edit_tensors=without_prefix("model.")),
        Case("Llama with stored frequencies", "Llama", edit_tensors=with_frequencies),
        Case("Llama tied head stored too", "Llama", dict(tie_word_embeddings=True), edit_tensors=with_head),
        Case("Llama fields left out", "Llama", dict(num_key_value_heads=4),
             edit_config=drop("num_key_value_heads", "head_dim", "attention_bias", "mlp_bias", "rope_parameters",
                              "tie_word_embeddings", "pretraining_tp")),
    ]
    return cases


def ropes() -> list[Case]:
    cases = []
    for name, options in ROPES.items():
        cases.append(Case(f"Llama rope {name}", "Llama", options, PLAIN))
        if name != "theta":
            cases.append(Case(f"Llama rope {name}, old spelling", "Llama", options, PLAIN, edit_config=old_spelling))
    for family in ("Mistral", "Qwen2", "Qwen3"):
        cases += [Case(f"{family} rope {name}", family, ROPES[name], PLAIN)
                  for name in ("linear", "dynamic", "llama3", "yarn")]
    cases += [
        Case("Qwen3 rope yarn in rope_scaling", "Qwen3", ROPES["yarn"], PLAIN, edit_config=scaling_with_rope_type),
        Case("Llama rope yarn, original length outside", "Llama", ROPES["yarn"], PLAIN,
             edit_config=original_length_outside),
        Case("Llama rope_scaling null", "Llama", edit_config=old_spelling),
        Case("Llama rope theta, old spelling", "Llama", ROPES["theta"], edit_config=old_spelling),
        Case("Llama rope dynamic, short text", "Llama", ROPES["dynamic"], length=12),
        Case("GPTNeoX rope linear", "GPTNeoX", rope("linear", factor=4.0, partial_rotary_factor=0.5),
             rope("default", partial_rotary_factor=0.5)),
        Case("GPTNeoX rope dynamic", "GPTNeoX",
             rope("dynamic", factor=4.0, partial_rotary_factor=0.5) | dict(max_position_embeddings=16),
             rope("default", partial_rotary_factor=0.5)),
        Case("GPTNeoX rope yarn", "GPTNeoX",
             rope("yarn", factor=4.0, partial_rotary_factor=0.5, original_max_position_embeddings=16),
             rope("default", partial_rotary_factor=0.5)),
    ]
    return cases


def gpts() -> list[Case]:
    return [
        Case("GPT2", "GPT2"),
        Case("GPT2 untied", "GPT2", dict(tie_word_embeddings=False)),
        Case("GPT2 n_inner", "GPT2", dict(n_inner=70)),
        Case("GPT2 unscaled attention", "GPT2", dict(scale_attn_weights=False), dict(scale_attn_weights=True)),
        Case("GPT2 scaled by layer", "GPT2", dict(scale_attn_by_inverse_layer_idx=True),
             dict(scale_attn_by_inverse_layer_idx=False)),
        Case("GPT2 upcast attention", "GPT2", dict(reorder_and_upcast_attn=True)),
        Case("GPT2 relu", "GPT2", dict(activation_function="relu"), dict(activation_function="gelu_new")),
        Case("GPT2 without prefix", "GPT2", edit_tensors=without_prefix("transformer.")),
        Case("GPT2 with stored masks", "GPT2", edit_tensors=with_masks),
        Case("GPTNeoX", "GPTNeoX"),
        Case("GPTNeoX serial residual", "GPTNeoX", dict(use_parallel_residual=False), dict(use_parallel_residual=True)),
        Case("GPTNeoX no attention bias", "GPTNeoX", dict(attention_bias=False)),
        Case("GPTNeoX all features turn", "GPTNeoX", rope("default", partial_rotary_factor=1.0)),
        Case("GPTNeoX half turns, old spelling", "GPTNeoX",
             dict(rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5)),
             edit_config=old_neox),
        Case("GPTNeoX tied", "GPTNeoX", dict(tie_word_embeddings=True)),
        Case("GPTNeoX as first published", "GPTNeoX", edit_tensors=neox_as_first_published),
        Case("GPTNeoX gelu_fast", "GPTNeoX", dict(hidden_act="gelu_fast"), dict(hidden_act="relu")),
        Case("OPT", "OPT"),
        Case("OPT untied", "OPT", dict(tie_word_embeddings=False)),
        Case("OPT norms after", "OPT", dict(do_layer_norm_before=False)),
        Case("OPT narrow embedding", "OPT", dict(word_embed_proj_dim=20)),
        Case("OPT narrow embedding, norms after", "OPT", dict(word_embed_proj_dim=20, do_layer_norm_before=False)),
        Case("OPT no biases", "OPT", dict(enable_bias=False)),
        Case("OPT norms without weights", "OPT", dict(layer_norm_elementwise_affine=False)),
        Case("OPT no final norm", "OPT", {"_remove_final_layer_norm": True}),
        Case("OPT gelu", "OPT", dict(activation_function="gelu"), dict(activation_function="relu")),
        Case("OPT without prefix", "OPT", edit_tensors=without_prefix("model.")),
    ]


ACTIVATIONS = ("silu", "swish", "gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh",
               "gelu_python_tanh", "gelu_accurate", "quick_gelu", "relu", "relu2", "relu6", "leaky_relu", "mish",
               "sigmoid", "tanh", "linear")


def stored() -> list[Case]:
    cases = [Case(f"{family} in shards", family, shard="40KB") for family in ("Llama", "GPT2", "OPT")]
    for dtype in (torch.bfloat16, torch.float16):
        short = str(dtype).removeprefix("torch.")
        cases += [Case(f"{family} {short}", family, dtype=dtype) for family in ("Llama", "Qwen2", "GPT2", "GPTNeoX")]
    cases += [Case("Qwen3 bfloat16 in shards", "Qwen3", dtype=torch.bfloat16, shard="40KB")]
    cases += [Case(f"activation {name}", "Llama", dict(hidden_act=name, num_hidden_layers=1)) for name in ACTIVATIONS]
    return cases


def all_cases() -> list[Case]:
    return decoders() + ropes() + gpts() + stored()
