#!/usr/bin/env python3
"""The lm-eval package drives `laconic serve`, without network: log-likelihoods and texts as of the same model in transformers.

usage: lm_eval_test.py BIN_DIRECTORY [unittest options]; needs lm_eval with its api extra, torch, transformers.
"""
import contextlib
import json
import logging
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1",
                  HF_HUB_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false")

import lm_eval  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from program import CALIBRATION, EVALUATION, ROOT, run_tests  # noqa: E402

LACONIC = None  # set by run_tests
TINY = ROOT / "assets/tiny-lm"
POSITIONS = 512
HEAD = """task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
"""
CHOICES = """output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: gold
doc_to_choice: choices
target_delimiter: " "
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
ROLLING = """output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: bits_per_byte}]
"""
GENERATION = """output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[gold]}}"
generation_kwargs: {until: ["."], max_gen_toks: 12, do_sample: false}
metric_list: [{metric: exact_match}]
"""


def write_tasks(folder):
    """Ends of sentences of the evaluation text among ends of others; two texts that fit the model's
    positions: longer ones are cut one token apart by the package's two drivers."""
    text = EVALUATION.read_text()
    sentences = [s for s in re.split(r"(?<=[.])\s+", text) if 8 <= len(s.split()) <= 30 and s.isascii()][:40]
    draw = random.Random(5)
    with open(folder / "choices.jsonl", "w") as file:
        for sentence in sentences[:10]:
            words = sentence.split()
            choices = [" ".join(words[-3:])] + [" ".join(draw.choice(sentences).split()[-3:]) for _ in range(3)]
            file.write(json.dumps({"question": " ".join(words[:-3]), "choices": choices, "gold": 0}) + "\n")
    with open(folder / "texts.jsonl", "w") as file:
        for part in (text[:1200], text[4000:5000]):
            file.write(json.dumps({"text": part}) + "\n")
    for name, file, task in (("choices", "choices", CHOICES), ("rolling", "texts", ROLLING), ("generation", "choices", GENERATION)):
        (folder / f"{name}.yaml").write_text(HEAD.format(name=name, file=folder / f"{file}.jsonl") + task)


@contextlib.contextmanager
def served(model):
    """The address of a running `laconic serve`."""
    process = subprocess.Popen([LACONIC.directory / "laconic", "serve", model, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://\S+:\d+", process.stdout.readline())[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        process.stdout.close()


class LmEval(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        write_tasks(cls.folder)
        logging.disable(logging.WARNING)
        cls.tasks = TaskManager(include_path=str(cls.folder), include_defaults=False)

    def evaluate(self, kind, /, **arguments):
        return lm_eval.simple_evaluate(model=kind, model_args=arguments, tasks=["choices", "rolling", "generation"], batch_size=4,
                                       task_manager=self.tasks, bootstrap_iters=0)

    def evaluate_served(self, model):
        with served(model) as address:
            return self.evaluate("local-completions", model="any", base_url=address + "/v1/completions", tokenizer_backend="huggingface",
                                 tokenizer=str(TINY), add_bos_token=False, max_length=POSITIONS + 1, num_concurrent=2)

    def answers(self, results, task):
        return [sample["resps"] for sample in sorted(results["samples"][task], key=lambda sample: sample["doc_id"])]

    def test_served_float_model_answers_as_transformers(self):
        ours = self.evaluate_served(TINY)
        theirs = self.evaluate("hf", pretrained=str(TINY), dtype="float32", device="cpu", add_bos_token=False, max_length=POSITIONS)
        for mine, other in zip(self.answers(ours, "choices"), self.answers(theirs, "choices"), strict=True):
            for (m,), (o,) in zip(mine, other, strict=True):
                self.assertAlmostEqual(float(m[0]), float(o[0]), delta=2e-3)
                self.assertEqual(str(m[1]), str(o[1]), "whether the choice is what a greedy reader says")
        for mine, other in zip(self.answers(ours, "rolling"), self.answers(theirs, "rolling"), strict=True):
            m, o = float(mine[0][0]), float(other[0][0])
            self.assertLess(abs(m - o), 1e-4 * abs(o))
        self.assertEqual(self.answers(ours, "generation"), self.answers(theirs, "generation"))
        self.assertEqual(ours["results"]["choices"]["acc,none"], theirs["results"]["choices"]["acc,none"])

    def test_a_quantized_cache_is_measured_too(self):
        bits = {}
        for name in ("w4a16-g128", "w4a4kv4-quarot"):
            out = self.folder / name
            LACONIC.done("quantize", TINY, "--recipe", name, "--calibration", CALIBRATION, "--out", out, "--quiet")
            bits[name] = self.evaluate_served(out)["results"]["rolling"]["bits_per_byte,none"]
        self.assertLess(bits["w4a16-g128"], bits["w4a4kv4-quarot"])
        self.assertLess(bits["w4a4kv4-quarot"], 2 * bits["w4a16-g128"])


if __name__ == "__main__":
    run_tests(globals())
