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
GEMMA = DECODER | dict(head_dim=16, query_pre_attn_scalar=24, sliding_window=7, pad_token_id=0)
EXPERTS = DECODER | dict(num_experts_per_tok=2)
QWEN_EXPERTS = EXPERTS | dict(num_experts=5, moe_intermediate_size=24)
SIZES = {"Llama": DECODER, "Mistral": DECODER, "Qwen2": DECODER, "Qwen3": DECODER | dict(head_dim=16), "GPT2": GPT2,
         "GPTNeoX": NEOX, "OPT": OPT, "Phi3": DECODER | dict(pad_token_id=0), "Gemma2": GEMMA, "Gemma3": GEMMA,
         "Mixtral": EXPERTS | dict(num_local_experts=5), "Qwen3Moe": QWEN_EXPERTS | dict(head_dim=16),
         "Qwen2Moe": QWEN_EXPERTS | dict(shared_expert_intermediate_size=40)}
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


def longrope_of_phi3(config: dict) -> None:
    """As the first checkpoints say it."""
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    parameters.pop("rope_type")
    config["rope_scaling"] = {"type": "su"} | parameters


def ropes_of_gemma3(config: dict) -> None:
    """As before rope_parameters, without layer_types."""
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters["full_attention"].pop("rope_theta")
    config["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
    config["rope_scaling"] = parameters["full_attention"]
    config["sliding_window_pattern"] = 2
    config.pop("layer_types")
    config.pop("_sliding_window_pattern", None)


def plain_expert_fields(config: dict) -> None:
    """num_experts, as Qwen's own files say."""
    if "num_local_experts" in config:
        config["num_experts"] = config.pop("num_local_experts")


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


def longrope(original: int, features: int) -> dict:
    return rope("longrope", factor=4.0, original_max_position_embeddings=original,
                short_factor=[1.0 + i / 8 for i in range(features)], long_factor=[1.5 + i for i in range(features)])


def phis() -> list[Case]:
    half = dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5))
    return [
        Case("Phi3", "Phi3"),
        Case("Phi3 all heads", "Phi3", dict(num_key_value_heads=4)),
        Case("Phi3 window", "Phi3", dict(sliding_window=7), dict(sliding_window=None)),
        Case("Phi3 half turns", "Phi3", half, PLAIN),
        Case("Phi3 longrope, long text", "Phi3", longrope(16, 6) | dict(original_max_position_embeddings=16), PLAIN),
        Case("Phi3 longrope, short text", "Phi3", longrope(16, 6) | dict(original_max_position_embeddings=16), PLAIN,
             length=12),
        Case("Phi3 longrope, first spelling", "Phi3",
             longrope(16, 6) | dict(original_max_position_embeddings=16), PLAIN, edit_config=longrope_of_phi3),
        Case("Phi3 tied bfloat16", "Phi3", dict(tie_word_embeddings=True), dtype=torch.bfloat16),
    ]


def gemmas() -> list[Case]:
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    two_ropes = dict(rope_parameters=dict(
        full_attention=dict(rope_type="linear", factor=4.0, rope_theta=5000.0),
        sliding_attention=dict(rope_type="default", rope_theta=100.0)))
    one_rope = dict(rope_parameters={kind: dict(rope_type="default", rope_theta=5000.0) for kind in kinds})
    every_other = dict(layer_types=["sliding_attention", "full_attention", "sliding_attention"])
    return [
        Case("Gemma2", "Gemma2", neutral=dict(sliding_window=64)),
        Case("Gemma2 attention cap", "Gemma2", dict(attn_logit_softcapping=2.0), dict(attn_logit_softcapping=None)),
        Case("Gemma2 logit cap", "Gemma2", dict(final_logit_softcapping=3.0), dict(final_logit_softcapping=None)),
        Case("Gemma2 no caps", "Gemma2", dict(attn_logit_softcapping=None, final_logit_softcapping=None)),
        Case("Gemma2 query scalar", "Gemma2", dict(query_pre_attn_scalar=3), dict(query_pre_attn_scalar=16)),
        Case("Gemma2 layer_types", "Gemma2", dict(layer_types=kinds), dict(layer_types=["full_attention"] * 3)),
        Case("Gemma2 old fields", "Gemma2", neutral=dict(sliding_window=64), edit_config=drop("layer_types")),
        Case("Gemma2 untied", "Gemma2", dict(tie_word_embeddings=False)),
        Case("Gemma2 biases", "Gemma2", dict(attention_bias=True)),
        Case("Gemma3 two ropes", "Gemma3", two_ropes | every_other, one_rope),
        Case("Gemma3 six layers", "Gemma3", dict(num_hidden_layers=6)),
        Case("Gemma3 logit cap", "Gemma3", dict(final_logit_softcapping=3.0), dict(final_logit_softcapping=None)),
        Case("Gemma3 old fields", "Gemma3", two_ropes | every_other, one_rope, edit_config=ropes_of_gemma3),
        Case("Gemma3 bfloat16 in shards", "Gemma3", dtype=torch.bfloat16, shard="40KB"),
    ]


def mixtures() -> list[Case]:
    families = ("Mixtral", "Qwen2Moe", "Qwen3Moe")
    cases = [Case(family, family, edit_config=plain_expert_fields if family == "Qwen3Moe" else None)
             for family in families]
    cases += [Case(f"{family} one expert a token", family, dict(num_experts_per_tok=1)) for family in families]
    cases += [Case(f"{family} bfloat16 in shards", family, dtype=torch.bfloat16, shard="40KB") for family in families]
    for family in ("Qwen2Moe", "Qwen3Moe"):
        cases += [
            Case(f"{family} shares add up", family, dict(norm_topk_prob=True), dict(norm_topk_prob=False)),
            Case(f"{family} every other layer", family, dict(decoder_sparse_step=2)),
            Case(f"{family} some layers plain", family, dict(mlp_only_layers=[0, 2])),
        ]
    cases += [
        Case("Mixtral window", "Mixtral", dict(sliding_window=7), dict(sliding_window=None)),
        Case("Qwen3Moe window", "Qwen3Moe", dict(use_sliding_window=True, sliding_window=7), dict(sliding_window=None)),
        Case("Qwen2Moe window", "Qwen2Moe", dict(use_sliding_window=True, sliding_window=7),
             dict(layer_types=["full_attention"] * 3)),
        Case("Qwen2Moe old window fields", "Qwen2Moe", dict(use_sliding_window=True, sliding_window=7),
             dict(layer_types=["full_attention"] * 3), edit_config=drop("layer_types")),
        Case("Qwen2Moe no biases", "Qwen2Moe", dict(qkv_bias=False)),
        Case("Qwen3Moe biases", "Qwen3Moe", dict(attention_bias=True)),
        Case("Qwen3Moe all experts", "Qwen3Moe", dict(num_experts_per_tok=5)),
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
    return decoders() + ropes() + phis() + gemmas() + mixtures() + gpts() + stored()
