#!/usr/bin/env python3
"""Small random models for the tests of exporters, and what transformers makes of a directory.

models.py make OUT TOKENIZER_DIR   one directory a model under OUT; prints their names
models.py logits DIR OUT.npz       input_ids and float32 logits of a directory
models.py tokens DIR OUT.json      [text, ids] pairs of the directory's tokenizer
models.py can MODULE               exit status 0 when the module is there
"""
import importlib.util
import json
import pathlib
import shutil
import sys

TEXTS = ["Hello world", "The grey bird isn't here.\n\nIt's 12345 o'clock!", "  two  spaces", "x = [1, 2]; y\t= 'a'",
         "na\u00efve caf\u00e9 \u2014 \u4f60\u597d", "A list:\n- one\n- two\n"]


def make_models(out, tokenizer):
    import torch
    import transformers as hf

    common = dict(vocab_size=4100, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
                  max_position_embeddings=256, bos_token_id=0, eos_token_id=1)
    llama3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64}
    yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
    linear = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
    models = {
        "llama": hf.LlamaConfig(**common, num_key_value_heads=2, tie_word_embeddings=True),
        "llama-bias": hf.LlamaConfig(**common, num_key_value_heads=2, attention_bias=True, mlp_bias=True),
        "llama-rope3": hf.LlamaConfig(**common, num_key_value_heads=4, rope_parameters=llama3),
        "llama-yarn": hf.LlamaConfig(**common, num_key_value_heads=2, rope_parameters=yarn),
        "llama-linear": hf.LlamaConfig(**common, num_key_value_heads=2, head_dim=32, rope_parameters=linear),
        "mistral": hf.MistralConfig(**common, num_key_value_heads=2, sliding_window=None),
        "qwen2": hf.Qwen2Config(**common, num_key_value_heads=2),
        "qwen3": hf.Qwen3Config(**common, num_key_value_heads=2, head_dim=32),
        "gpt2": hf.GPT2Config(vocab_size=4100, n_embd=64, n_layer=2, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=1),
        "gptneox": hf.GPTNeoXConfig(**common, rotary_pct=0.5),
        "opt": hf.OPTConfig(vocab_size=4100, hidden_size=64, ffn_dim=96, num_hidden_layers=2, num_attention_heads=4,
                            max_position_embeddings=256, word_embed_proj_dim=64, bos_token_id=0, eos_token_id=1),
    }
    for name, config in models.items():
        torch.manual_seed(len(name))
        model = hf.AutoModelForCausalLM.from_config(config).float()
        for parameter in model.parameters():  # far from the small numbers of a fresh model: errors show
            if parameter.dim() > 1:
                parameter.data.normal_(0, 0.08)
            else:
                parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(out / name)
        for file in pathlib.Path(tokenizer).glob("tokenizer*"):
            shutil.copy(file, out / name / file.name)
    return list(models)


def store_otherwise(root, sentencepiece):
    """Copies of models in the other ways that files of them are found in; gives the names of the copies."""
    import torch
    from safetensors.torch import load_file, save_file

    def save(folder, tensors, file="model.safetensors"):
        save_file(tensors, folder / file, metadata={"format": "pt"})

    def in_float16(folder, tensors):
        save(folder, {name: tensor.half() for name, tensor in tensors.items()})

    def in_shards(folder, tensors):
        (folder / "model.safetensors").unlink()
        files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(sorted(tensors))}
        for file in set(files.values()):
            save(folder, {name: tensors[name] for name in files if files[name] == file}, file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))

    def with_the_tied_head(folder, tensors):
        save(folder, {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()})

    def as_first_published(folder, tensors):
        old = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
        masks = {f"h.{i}.attn.bias": torch.ones(1, 1, 256, 256).tril() for i in range(2)}
        save(folder, {**old, **masks})

    def with_sentencepiece(folder, tensors):
        for file in folder.glob("tokenizer*"):
            file.unlink()
        shutil.copy(sentencepiece, folder / "tokenizer.model")

    names = []
    for model, change in (("gptneox", in_float16), ("opt", in_float16), ("opt", in_shards), ("llama", with_the_tied_head),
                          ("gpt2", as_first_published), ("llama", with_sentencepiece)):
        names.append(f"{model}-{change.__name__.replace('_', '-')}")
        folder = shutil.copytree(root / model, root / names[-1])
        change(folder, load_file(folder / "model.safetensors"))
    return names


def write_logits(directory, out):
    import numpy
    import torch
    import transformers as hf

    torch.set_num_threads(2)
    model = hf.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    ids = torch.randint(2, 4000, (2, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        numpy.savez(out, input_ids=ids.numpy(), logits=model(input_ids=ids).logits.numpy())


def write_tokens(directory, out):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(pathlib.Path(directory) / "tokenizer.json"))
    out.write_text(json.dumps([[text, tokenizer.encode(text).ids] for text in TEXTS]))


def main():
    command, first, *rest = sys.argv[1:]
    if command == "can":
        sys.exit(0 if importlib.util.find_spec(first) else 1)
    if command == "make":
        print("\n".join(make_models(pathlib.Path(first), rest[0])))
    elif command == "logits":
        write_logits(first, rest[0])
    else:
        write_tokens(first, pathlib.Path(rest[0]))


if __name__ == "__main__":
    main()
