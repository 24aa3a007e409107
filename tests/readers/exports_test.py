#!/usr/bin/env python3
"""Small random models of every architecture, quantized by every recipe, exported, and read by the readers of each format.

The weights that a reader finds must be those of the native directory bit for bit (native.py reads it without Laconic), and
the exported directory must have the perplexity that Laconic measures on the native one.

usage: exports_test.py BIN_DIRECTORY [unittest options]; needs torch, transformers, gguf, compressed-tensors.
"""
import contextlib
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1", HF_HUB_DISABLE_PROGRESS_BARS="1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

import check_compressed_tensors  # noqa: E402
import check_gguf  # noqa: E402
import models  # noqa: E402
import native  # noqa: E402
import super_blocks  # noqa: E402
from program import CALIBRATION, DATA, EVALUATION, ROOT, run_tests  # noqa: E402

sys.path.insert(0, str(ROOT / "tests/tokenizer"))
import tokenizer_zoo  # noqa: E402

LACONIC = None  # set by run_tests
GROUP = ["--set", "weight.group_size=32"]  # the small models' rows have 64 and 96 weights
GPTQ = ["--calibration", CALIBRATION, "--set", "calibration.windows=4", "--set", "calibration.length=64"]
RECIPES = {  # name -> options
    "w8a16": [], "w4a16": [], "w4a16-g128": GROUP, "w3a16-g128": GROUP, "w8a8-dynamic": [], "w8a8-static": GPTQ,
    "w4a16-gptq": GPTQ, "w4a16-g128-gptq": GROUP + GPTQ, "w3a16-g64-gptq": GROUP + GPTQ,
    "w8a8-smoothquant": GPTQ, "w4a16-g128-awq": GROUP + GPTQ, "w3a16-g64-magr-gptq": GROUP + GPTQ,
    "gguf-q4_0": [], "gguf-q4_1": [], "gguf-q8_0": [], "gguf-q4_0-gptq": GPTQ,
}
DYNAMIC = {"w8a8-dynamic", "w8a8-smoothquant"}
# Inputs in codes: where one lies between two, the last place of a sum decides. The client's own perplexity of four short windows
# differs by 4e-4 between AVX2 and AVX-512.
STATIC_TOLERANCE = 2e-3
GGUF_TYPES = {"gguf-q4_0": "Q4_0", "gguf-q4_0-gptq": "Q4_0", "gguf-q4_1": "Q4_1", "gguf-q8_0": "Q8_0"}
# Models that differ from another only in what no quantizer sees get two recipes, one for each format.
VARIANTS = {"llama-bias", "llama-rope3", "llama-yarn", "llama-linear"}
VARIANT_RECIPES = {"w8a16", "gguf-q4_1"}
ASYMMETRIC = ["--set", "weight.signed=false", "--set", "weight.zero_point=integer", "--set", "weight.statistic=min_max",
              "--set", "weight.threshold=code_count"]
# Real models: calibration text, evaluation text, recipe -> options. docs-lm is bfloat16 in four shards; the rows of stories260k have
# 64 and 172 weights.
STORIES = ("tinystories/calib.txt", "tinystories/eval.txt")
REAL = {
    "babyllama-105": (*STORIES, {"w4a16-g128-gptq": GROUP, "gguf-q4_0-gptq": [], "w8a8-static": []}),
    "stories260k": (*STORIES, {"w4a16-gptq": [], "w4a16-g128-gptq": ["--set", "weight.group_size=4"]}),
    "docs-lm": ("docs-text/calibration.txt", "docs-text/evaluation.txt", {"gguf-q4_0-gptq": []}),
}
HEAD = """rules:
  - layers: blocks
    weight: {bits: 4, granularity: group, group_size: 32, statistic: absmax, restriction: stored_as, stored_dtype: float16}
  - layers: head
    weight: {bits: 8, granularity: group, group_size: 32, statistic: absmax, restriction: stored_as, stored_dtype: float16}
"""

EMBEDDING = HEAD.replace("head", "WORD")

MERGED = """transforms:
  - {name: smooth, alpha: 0.5}
  - {name: equalize}
  - {name: fold_norms}
  - {name: permute, block_size: 16}
  - {name: rotate, block_size: 16}
  - {name: magr}
rules:
  - layers: blocks
    weight: {bits: 4, granularity: group, group_size: 32, statistic: mse, restriction: stored_as, stored_dtype: float16}
    solver: gptq
"""


def gguf_weights(file):
    """Key values, name -> float32 array, and the types of the quantized tensors of a GGUF file."""
    from gguf.quants import dequantize

    check_gguf.PROBLEMS.clear()
    with contextlib.redirect_stdout(io.StringIO()):
        keys, tensors = check_gguf.structure(str(file))
    assert not check_gguf.PROBLEMS, check_gguf.PROBLEMS
    types = {t.tensor_type.name for t in tensors.values()} - {"F32", "F16", "BF16"}
    return keys, {name: dequantize(t.data, t.tensor_type).astype(np.float32) for name, t in tensors.items()}, types


def compressed_model(folder, dequantized=False):
    from transformers import AutoModelForCausalLM, CompressedTensorsConfig

    # By default the library cannot load packed zero points, also of its own directories.
    options = {"quantization_config": CompressedTensorsConfig(dequantize=True)} if dequantized else {}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()
    if not dequantized:
        model.hf_quantizer.compressor.decompress_model(model)
    return model


def token_ids(folder, text):
    if not (folder / "tokenizer.json").exists():
        from sentencepiece import SentencePieceProcessor

        return SentencePieceProcessor(model_file=str(folder / "tokenizer.model")).EncodeAsIds(text)
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids


@torch.no_grad()
def perplexity(model, folder, context, windows, text):
    """As `laconic evaluate perplexity` has it: windows without overlap, every token but the first predicted."""
    ids = torch.tensor(token_ids(folder, text.read_text())[:context * windows]).view(windows, context)
    logits = model(input_ids=ids).logits[:, :-1].double()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).exp().item()


class Exports(unittest.TestCase):
    count = 0

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name)
        torch.set_num_threads(1)
        cls.models = models.make_models(cls.root, ROOT / "assets/tiny-lm")

    def quantized(self, model, recipe, *options, formats=()):
        """The native directory; exports lie beside it."""
        type(self).count += 1
        out = self.root / f"{model.name}-{self.count}"
        export = ["--export", ",".join(formats)] if formats else []
        LACONIC.done("quantize", model, "--recipe", recipe, *options, "--out", out, "--overwrite", "--quiet", *export)
        return out

    def check_same(self, found, expected, tolerance=0):
        for name, weight in expected.items():
            np.testing.assert_allclose(found[name], weight, rtol=0, atol=tolerance, err_msg=name)

    def check_gguf(self, directory, expected_types, tolerance=0):
        keys, found, types = gguf_weights(directory.with_name(directory.name + ".gguf"))
        self.assertEqual(types, expected_types)
        found.pop("rope_freqs.weight", None)
        for name in [name for name in found if name.endswith(".scale")]:  # readers multiply the result by it
            found[name.removesuffix("scale") + "weight"] *= found.pop(name)
        expected = check_gguf.expected_weights(keys["general.architecture"], keys, native.dense_weights(directory))
        if "output.weight" not in found and "output.weight" in expected:  # stored though it is tied
            np.testing.assert_array_equal(expected.pop("output.weight"), expected["token_embd.weight"])
        self.assertEqual(set(found), set(expected))
        self.check_same(found, expected, tolerance)

    def check_compressed(self, directory, asymmetric=False, tolerance=1e-4, text=EVALUATION):
        folder = directory.with_name(directory.name + "-compressed-tensors")
        check_compressed_tensors.PROBLEMS.clear()
        config = json.loads((folder / "config.json").read_text())
        with contextlib.redirect_stdout(io.StringIO()):
            check_compressed_tensors.static_checks(str(folder), config, native.stored_tensors(folder))
        self.assertEqual(check_compressed_tensors.PROBLEMS, [])
        model = compressed_model(folder, asymmetric)
        expected = native.dense_weights(directory)
        found = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        if "embed_out.weight" in expected:  # GPT-NeoX: the client's name for the head in memory
            found["embed_out.weight"] = found["lm_head.weight"]
        self.check_same(found, expected)
        ours, theirs = LACONIC.perplexity(directory, 64, 4, text=text), perplexity(model, folder, 64, 4, text)
        self.assertLess(abs(ours / theirs - 1), tolerance, f"{ours} {theirs}")

    def check_recipe(self, model, recipe, options, text=EVALUATION):
        formats = (["gguf"] if recipe in GGUF_TYPES and "opt" not in model.name else []) + \
                  (["compressed-tensors"] if recipe != "gguf-q4_1" and "gpt2" not in model.name else [])
        with self.subTest(model=model.name, recipe=recipe):
            directory = self.quantized(model, recipe, *options, formats=formats)
            if "gguf" in formats:
                self.check_gguf(directory, {GGUF_TYPES[recipe]})
            if "compressed-tensors" in formats:
                # Clients divide by 127.5 where the recipe divides by 127.
                tolerance = 5e-3 if recipe in DYNAMIC else STATIC_TOLERANCE if recipe == "w8a8-static" else 1e-4
                self.check_compressed(directory, tolerance=tolerance,
                                      asymmetric=recipe == "w4a16-g128-awq", text=text)

    def test_every_recipe_of_every_model_is_read_bit_for_bit(self):
        for name in self.models:
            for recipe, options in RECIPES.items():
                if name not in VARIANTS or recipe in VARIANT_RECIPES:
                    self.check_recipe(self.root / name, recipe, options)

    def test_every_recipe_of_the_small_model_is_read_bit_for_bit(self):
        shutil.copytree(ROOT / "assets/tiny-lm", self.root / "tiny-lm")
        for recipe, options in RECIPES.items():
            self.check_recipe(self.root / "tiny-lm", recipe, options[2:] if options[:2] == GROUP else options)

    def test_super_blocks_of_the_small_model_are_read(self):
        recipe = self.root / "super-blocks.yaml"
        super_blocks.write_recipe(LACONIC, recipe)
        directory = self.quantized(ROOT / "assets/tiny-lm", recipe, *GPTQ, formats=["gguf"])
        # A minimum is a float32 zero point times a scale here, a product of two numbers in the file.
        self.check_gguf(directory, super_blocks.TYPES, tolerance=1e-7)

    def test_merged_transforms_are_read_bit_for_bit(self):
        recipe = self.root / "merged.yaml"
        recipe.write_text(MERGED)
        for name in ("llama", "qwen2", "qwen3"):
            with self.subTest(model=name):
                directory = self.quantized(self.root / name, recipe, *GPTQ, formats=["gguf", "compressed-tensors"])
                self.check_gguf(directory, {"Q4_0"})
                self.check_compressed(directory)

    def test_a_quantized_gpt2_is_what_transformers_makes_of_its_weights(self):
        from transformers import AutoModelForCausalLM

        model, text = DATA / "shakespeare-gpt2", DATA / "tinyshakespeare/input.txt"
        if not model.exists():
            self.skipTest(f"no test data in {DATA}: set LACONIC_TEST_DATA")
        directory = self.quantized(model, "w4a16-g128-gptq", "--calibration", text, *GPTQ[2:], *GROUP)
        reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        dense = {name: torch.tensor(weight) for name, weight in native.dense_weights(directory).items()}
        self.assertEqual(reference.load_state_dict(dense, strict=False).unexpected_keys, [])
        ours, theirs = LACONIC.perplexity(directory, 64, 4, text=text), perplexity(reference, directory, 64, 4, text)
        self.assertLess(abs(ours / theirs - 1), 1e-4, f"{ours} {theirs}")

    def test_models_stored_otherwise_are_read_bit_for_bit(self):
        tokenizer_zoo.SENTENCE_MODELS = {"bpe": tokenizer_zoo.SENTENCE_MODELS["spm-bpe-llama"]}
        ((_, sentencepiece),) = tokenizer_zoo.sentence_models(ROOT, self.root)
        for name in models.store_otherwise(self.root, sentencepiece):
            self.check_recipe(self.root / name, "gguf-q4_0-gptq", GPTQ)

    def test_real_models_are_read_bit_for_bit(self):
        if not (DATA / "stories260k").exists():
            self.skipTest(f"no test data in {DATA}: set LACONIC_TEST_DATA")
        for name, (calibration, evaluation, recipes) in REAL.items():
            (self.root / name).symlink_to((DATA / name).resolve())
            for recipe, options in recipes.items():
                self.check_recipe(self.root / name, recipe, ["--calibration", DATA / calibration, *GPTQ[2:], *options], DATA / evaluation)

    def test_zero_points_are_read_bit_for_bit(self):
        for recipe, options in {"w4a16-g128": GROUP, "w8a16": [], "w4a16": []}.items():
            with self.subTest(recipe=recipe):
                directory = self.quantized(self.root / "llama", recipe, *options, *ASYMMETRIC, formats=["compressed-tensors"])
                self.check_compressed(directory, asymmetric=True)

    def test_a_quantized_head_is_read_bit_for_bit(self):
        recipe = self.root / "head.yaml"
        recipe.write_text(HEAD)
        directory = self.quantized(self.root / "mistral", recipe, formats=["gguf", "compressed-tensors"])
        self.check_gguf(directory, {"Q4_0", "Q8_0"})
        self.check_compressed(directory)

    def test_a_quantized_embedding_is_read_bit_for_bit(self):
        recipe = self.root / "embedding.yaml"
        recipe.write_text(EMBEDDING.replace("WORD", "embedding"))
        for name in ("mistral", "qwen2", "qwen3", "gptneox"):
            with self.subTest(model=name):
                self.check_gguf(self.quantized(self.root / name, recipe, formats=["gguf"]), {"Q4_0", "Q8_0"})
        recipe.write_text(EMBEDDING.replace("WORD", "[embedding, head]"))
        for name in ("llama", "gpt2"):  # tied
            with self.subTest(model=name):
                self.check_gguf(self.quantized(self.root / name, recipe, formats=["gguf"]), {"Q4_0", "Q8_0"})

    def test_what_a_format_cannot_hold_is_refused_before_any_work(self):
        for name, recipe, options, export, words in [
                ("opt", "gguf-q4_0", [], "gguf", ["OPTForCausalLM", "compressed-tensors"]),
                ("gpt2", "w4a16", [], "compressed-tensors", ["transformer.h.0.attn.c_attn", "Conv1D", "gguf"]),
                ("llama", "w4a16-g128", GROUP, "gguf", ["model.layers.0.self_attn.q_proj", "any float", "gguf-q4_0"]),
                ("llama", "w8a16", [], "gguf", ["per channel", "gguf-q8_0"]),
                ("llama", "w8a8-dynamic", [], "gguf", ["quantized input", "compressed-tensors"]),
                ("llama", "gguf-q4_1", [], "compressed-tensors", ["zero_point: integer"])]:
            with self.subTest(model=name, recipe=recipe):
                out = self.root / "refused"
                result = LACONIC.run("quantize", self.root / name, "--recipe", recipe, *options, "--export", export, "--out", out)
                self.assertEqual(result.returncode, 2, result.stderr)
                for word in words:
                    self.assertIn(word, result.stderr)
                self.assertFalse(out.exists())

    def test_a_float_model_becomes_gguf_as_it_is(self):
        for name in self.models:
            if name == "opt":
                continue
            with self.subTest(model=name):
                file = self.root / "float.gguf"
                LACONIC.done("export", self.root / name, "--format", "gguf", "--out", file, "--overwrite")
                keys, found, types = gguf_weights(file)
                found.pop("rope_freqs.weight", None)
                dense = {key: tensor.float().numpy() for key, tensor in native.stored_tensors(self.root / name).items()}
                self.assertEqual(types, set())
                self.check_same(found, check_gguf.expected_weights(keys["general.architecture"], keys, dense))


if __name__ == "__main__":
    run_tests(globals())
