#!/usr/bin/env python3
"""GGUF files of ours in llama.cpp itself: it loads them, splits text as Laconic does, and finds the same logits and perplexity.

usage: llama_cpp_test.py BIN_DIRECTORY [unittest options]; needs llama-cpp-python, torch, transformers.
"""
import math
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1", HF_HUB_DISABLE_PROGRESS_BARS="1")

import llama_cpp  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import models  # noqa: E402
import native  # noqa: E402
import super_blocks  # noqa: E402
from check_gguf import log_softmax  # noqa: E402
from program import CALIBRATION, DATA, EVALUATION, ROOT, run_tests  # noqa: E402

sys.path.insert(0, str(ROOT / "tests/tokenizer"))
import tokenizer_zoo  # noqa: E402
from hostile_texts import hostile_texts  # noqa: E402

LACONIC = None  # set by run_tests
TINY = ROOT / "assets/tiny-lm"
CONTEXT, WINDOWS = 256, 8
# llama.cpp rounds the inputs of a quantized product to 8 bits: the same weights differ by this much.
NOISE = {"gguf-f32": 1e-5, "gguf-q8_0": 1e-3, "gguf-q4_0": 1e-3, "gguf-q4_1": 1e-3}


def without_repacking(make=llama_cpp.llama_cpp.llama_model_default_params):
    """A build for this processor may repack weights for instructions that a virtual machine forbids."""
    parameters = make()
    parameters.use_extra_bufts = False
    return parameters


llama_cpp.llama_cpp.llama_model_default_params = without_repacking


def load(file, **options):
    """Float32 cache of keys and values: the default float16 would cost 2e-3 in the logits."""
    return llama_cpp.Llama(str(file), n_ctx=CONTEXT, n_batch=CONTEXT, n_ubatch=CONTEXT, logits_all=True, verbose=False, n_threads=1,
                           n_threads_batch=1, flash_attn=False, type_k=0, type_v=0, **options)


def logits_of(model, ids):
    model.reset()
    model.eval([int(i) for i in ids])
    return np.array(model.scores[:len(ids)], np.float32)


def perplexity(model, text=EVALUATION):
    """llama-perplexity's: windows without overlap, the second half of each is predicted."""
    ids = model.tokenize(text.read_bytes(), add_bos=False, special=False)
    losses = []
    for start in range(0, CONTEXT * WINDOWS, CONTEXT):
        window = ids[start:start + CONTEXT]
        scores = log_softmax(logits_of(model, window))
        losses += [-scores[i, window[i + 1]] for i in range(CONTEXT // 2, CONTEXT - 1)]
    return math.exp(np.mean(losses))


def divergence(wanted, got):
    p, q = log_softmax(wanted.astype(np.float64)), log_softmax(got.astype(np.float64))
    return float((np.exp(p) * (p - q)).sum(-1).mean())


class LlamaCpp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name)
        torch.set_num_threads(1)

    def quantized(self, model, recipe, *options):
        """Native directory and GGUF file."""
        out = self.root / f"{model.name}-{pathlib.Path(recipe).stem}"
        LACONIC.done("quantize", model, "--recipe", recipe, *options, "--out", out, "--overwrite", "--quiet", "--export", "gguf")
        return out, out.with_name(out.name + ".gguf")

    def exported(self, model, form):
        file = self.root / f"{model.name}.{form}"
        LACONIC.done("export", model, "--format", form, "--out", file, "--overwrite")
        return file

    def check_perplexity(self, directory, file, text):
        ours = LACONIC.perplexity(directory, CONTEXT, WINDOWS, "--convention", "llama.cpp", text=text)
        theirs = perplexity(load(file), text)
        print(f"perplexity of {file.name}: llama.cpp {theirs:.3f}, laconic {ours:.3f}", flush=True)
        self.assertLess(abs(ours / theirs - 1), 0.01)

    def check_perplexities(self, model, recipes, text):
        files = {"gguf-f16": (model, self.exported(model, "gguf-f16"))}
        for recipe in recipes:
            files[recipe] = self.quantized(model, recipe)
        for name, (directory, file) in files.items():
            with self.subTest(model=model.name, file=name):
                self.check_perplexity(directory, file, text)

    def test_its_perplexity_is_that_of_evaluate(self):
        self.check_perplexities(TINY, ["gguf-q8_0", "gguf-q4_0", "gguf-q4_1"], EVALUATION)

    def test_its_perplexity_of_super_blocks_is_that_of_evaluate(self):
        recipe = self.root / "super-blocks.yaml"
        super_blocks.write_recipe(LACONIC, recipe)
        calibrated = ["--calibration", CALIBRATION, "--set", "calibration.windows=8", "--set", "calibration.length=128"]
        directory, file = self.quantized(TINY, recipe, *calibrated)
        self.check_perplexity(directory, file, EVALUATION)

    @unittest.skipUnless((DATA / "docs-lm").is_dir(), "no docs-lm: LACONIC_TEST_DATA names the directory that has it")
    def test_its_perplexity_of_a_real_model_is_that_of_evaluate(self):
        self.check_perplexities(DATA / "docs-lm", ["gguf-q8_0", "gguf-q4_0", "gguf-q4_k"], DATA / "docs-text/evaluation.txt")

    def test_it_generates_what_transformers_generates(self):
        from transformers import AutoModelForCausalLM

        model = load(self.exported(TINY, "gguf-f32"))
        ids = model.tokenize(b"It was a cold morning, and the old man", add_bos=False)
        wanted = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32).generate(
            torch.tensor([ids]), max_new_tokens=24, do_sample=False)[0].tolist()
        model.reset()
        got = list(ids)
        for token in model.generate(ids, temp=0.0):
            got.append(token)
            if len(got) == len(wanted):
                break
        self.assertEqual(got, wanted)

    def test_random_models_of_every_architecture_have_the_same_logits(self):
        from transformers import AutoModelForCausalLM

        ids = torch.randint(2, 4000, (48,), generator=torch.Generator().manual_seed(1))
        for name in models.make_models(self.root, TINY):
            if name == "opt":  # llama.cpp has no such architecture
                continue
            reference = AutoModelForCausalLM.from_pretrained(self.root / name, dtype=torch.float32).eval()
            for kind, noise in NOISE.items():
                with self.subTest(model=name, kind=kind):
                    if kind == "gguf-f32":
                        file = self.exported(self.root / name, kind)
                    else:
                        directory, file = self.quantized(self.root / name, kind)
                        weights = {key: torch.tensor(value) for key, value in native.dense_weights(directory).items()}
                        reference.load_state_dict(weights, strict=False)
                    with torch.no_grad():
                        wanted = reference(input_ids=ids[None]).logits[0].numpy()
                    distance = divergence(wanted, logits_of(load(file), ids))
                    print(f"KL of {name}, {kind}: {distance:.2e}", flush=True)
                    self.assertLess(distance, noise)


class Tokens(unittest.TestCase):
    """llama.cpp's tokenizer gives Laconic's ids, for every kind of tokenizer that an export accepts."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name)
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(vocab_size=2000, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1,
                             bos_token_id=1, eos_token_id=2)
        LlamaForCausalLM(config).save_pretrained(cls.root / "body")

    def directory_with(self, name, place):
        directory = self.root / name
        shutil.copytree(self.root / "body", directory)
        place(directory)
        return directory

    def check(self, directory, tokenizer, texts, special=True):
        file = directory / "model.gguf"
        LACONIC.done("export", directory, "--format", "gguf-f16", "--out", file)
        model = load(file, vocab_only=True)
        wanted = LACONIC.tokenize(tokenizer, texts)
        found = [model.tokenize(text.encode(), add_bos=False, special=special) for text in texts]
        different = [text[:40] for text, a, b in zip(texts, wanted, found) if a != b]
        self.assertEqual(different, [], f"{len(different)} of {len(texts)} texts")

    def test_tiny_lm(self):
        directory = self.root / "tiny"
        shutil.copytree(TINY, directory)
        self.check(directory, directory, hostile_texts() + [EVALUATION.read_text()])

    def test_byte_level_bpe(self):
        files = [str(path) for path in sorted((ROOT / "assets/text").glob("*.txt"))]
        for name, split, options in [("gpt2", None, {}), ("llama3", tokenizer_zoo.LLAMA3, {"ignore_merges": True}),
                                     ("smaug", tokenizer_zoo.LLAMA3, {}), ("qwen2", tokenizer_zoo.QWEN2, {})]:
            with self.subTest(tokenizer=name):
                built = tokenizer_zoo.byte_level(files, split, **options)
                directory = self.directory_with(name, lambda to: built.save(str(to / "tokenizer.json")))
                self.check(directory, directory, hostile_texts() + [EVALUATION.read_text()])

    def test_sentencepiece(self):
        files = [str(path) for path in sorted((ROOT / "assets/text").glob("*.txt"))]
        built = tokenizer_zoo.llama2(files)
        directory = self.directory_with("llama2", lambda to: built.save(str(to / "tokenizer.json")))
        self.check(directory, directory, hostile_texts() + [EVALUATION.read_text()])
        tokenizer_zoo.SENTENCE_MODELS = {"unigram": {"model_type": "unigram", "vocab_size": 800},
                                         "bpe": tokenizer_zoo.SENTENCE_MODELS["spm-bpe-llama"]}
        for name, path in tokenizer_zoo.sentence_models(ROOT, self.root):
            with self.subTest(tokenizer=name):
                directory = self.directory_with(name, lambda to: shutil.copy(path, to / "tokenizer.model"))
                # SentencePiece takes the name of a control piece in a text as text.
                self.check(directory, path, hostile_texts() + [EVALUATION.read_text()], special=False)

    def test_what_llama_cpp_does_not_have_is_refused(self):
        files = [str(path) for path in sorted((ROOT / "assets/text").glob("*.txt"))]
        built = tokenizer_zoo.word_piece(files, True)
        directory = self.directory_with("bert", lambda to: built.save(str(to / "tokenizer.json")))
        result = LACONIC.run("export", directory, "--format", "gguf", "--out", directory / "model.gguf")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("WordPiece", result.stderr)
        self.assertFalse((directory / "model.gguf").exists())


if __name__ == "__main__":
    run_tests(globals())
