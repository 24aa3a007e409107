#!/usr/bin/env python3
"""Holds laconic_tokenize against the `tokenizers` and `sentencepiece` packages, id for id.

usage: compare_tokenizers.py PATH_OF_laconic_tokenize [--only NAME] [--keep DIRECTORY]

Trains or builds a tokenizer of every kind on assets/text, runs both over real and hostile texts, and
compares ids, ids with special tokens, and the decoded text; then the same with fields that neither knows in the files: both pass
over them or refuse them. Prints a line a tokenizer; exit code 1 when any differs.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

try:
    import sentencepiece
except ImportError:
    sentencepiece = None

import tokenizer_zoo
from hostile_texts import hostile_texts

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("LACONIC_TEST_DATA", ROOT.parent / "shared" / "data"))


def real_texts():
    files = sorted((ROOT / "assets" / "text").glob("*.txt"))
    for name in ("docs-text/evaluation.txt", "tinystories/eval.txt", "tinyshakespeare/input.txt", "wikitext-2/test.txt"):
        if (DATA / name).exists():
            files.append(DATA / name)
    return [path.read_text(encoding="utf-8")[:100_000] for path in files]


def run(program, path, texts):
    request = b"".join(b"%d\n%s" % (len(t), t) for t in (text.encode() for text in texts))
    result = subprocess.run([program, str(path)], input=request, capture_output=True)
    if result.returncode != 0:
        raise RuntimeError(result.stderr.decode())
    return result.stdout.decode().split("\n")[: len(texts)]


def expected_json(tokenizer, text):
    try:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        special = tokenizer.encode(text, add_special_tokens=True).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
    except BaseException as error:  # the package panics now and then
        return f"error: {error}"
    return line_of(ids, special, decoded)


def expected_sentencepiece(processor, text):
    if "\0" in text:
        return None  # the package's Python binding cuts the text there
    ids = processor.EncodeAsIds(text)
    return line_of(ids, [processor.bos_id()] + ids, processor.DecodeIds(ids))


def line_of(ids, special, decoded):
    return "\t".join(["".join(f"{i} " for i in ids), "".join(f"{i} " for i in special), decoded.encode().hex()])


def compare(name, program, path, texts, expected):
    answers = run(program, path, texts)
    bad = 0
    for text, answer, wanted in zip(texts, answers, expected):
        if answer == wanted or (answer.startswith("error") and wanted.startswith("error")):
            continue
        bad += 1
        if bad <= 3:
            print(f"  {name}: {text[:60]!r} ({len(text)} characters)")
            for ours, theirs in zip((answer.split("\t") * 3)[:3], (wanted.split("\t") * 3)[:3]):
                if ours != theirs:
                    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
                    print(f"    ours   ...{ours[max(0, at - 40):at + 60]}\n    theirs ...{theirs[max(0, at - 40):at + 60]}")
    print(f"{name}: {len(texts) - bad} of {len(texts)} texts agree")
    return bad


def refused_alike(name, program, path, document, inside):
    """A field that neither knows in the object at this path is refused by both."""
    place = document
    for step in inside:
        place = place[step]
    place["of another program"] = {"type": 1}
    path.write_text(json.dumps(document), encoding="utf-8")
    del place["of another program"]
    try:
        Tokenizer.from_file(str(path))
        theirs = False
    except Exception:
        theirs = True
    ours = subprocess.run([program, str(path)], input=b"", capture_output=True).returncode != 0
    where = ".".join(map(str, inside)) or "the file"
    if ours and theirs:
        return 0
    print(f"{name}: unknown field in {where}: refused by us: {ours}, by the package: {theirs}")
    return 1


def compare_unknown_fields(zoo, program, directory, texts):
    """Every kind of object once: with one more field the package gives the same ids, or refuses the file; so do we."""
    bad, seen = 0, set()
    for name, tokenizer in zoo:
        document, closed = tokenizer_zoo.with_unknown_fields(json.loads(tokenizer.to_str()))
        path = directory / f"{name}-unknown.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        read = Tokenizer.from_file(str(path))
        read.no_truncation()
        read.no_padding()
        bad += compare(f"{name} with unknown fields", program, path, texts, [expected_json(read, text) for text in texts])
        for inside in closed:
            kind = tuple(step for step in inside if isinstance(step, str))
            if kind not in seen:
                seen.add(kind)
                bad += refused_alike(name, program, path, document, inside)
    print(f"unknown fields are refused in {len(seen)} places")
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    directory = pathlib.Path(arguments.keep or tempfile.mkdtemp())
    directory.mkdir(exist_ok=True)
    real, hostile = real_texts(), hostile_texts()
    bad = 0
    sentence_models = dict(tokenizer_zoo.sentence_models(ROOT, directory)) if sentencepiece else {}
    zoo = list(tokenizer_zoo.tokenizers(ROOT, DATA))
    for name, path in sentence_models.items():
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        cases = [(text, expected_sentencepiece(processor, text)) for text in real + hostile]
        cases = [case for case in cases if case[1] is not None]
        if arguments.only in name:
            bad += compare(name, arguments.program, path, [t for t, _ in cases], [e for _, e in cases])
        if "unigram" in name:
            zoo += [(f"{name}-{scheme}", tokenizer_zoo.converted_unigram(path, scheme)) for scheme in ("always", "first")]
    for name, tokenizer in zoo:
        if arguments.only not in name:
            continue
        path = directory / f"{name}.json"
        path.write_text(tokenizer.to_str(), encoding="utf-8")
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # The parts are slow to run on long words: a little real text is enough for them.
        part = name.split("-")[0] in ("normalizer", "split", "punctuation", "pre", "regex")
        texts = [text[:5000] for text in real] + hostile if part else real + hostile
        bad += compare(name, arguments.program, path, texts, [expected_json(tokenizer, text) for text in texts])
    open_kinds = ("gpt2", "llama2", "metaspace-first", "bert-uncased", "spm-unigram-first", "normalizer-replace", "split-removed")
    chosen = [(name, tokenizer) for name, tokenizer in zoo if name in open_kinds and arguments.only in name]
    bad += compare_unknown_fields(chosen, arguments.program, directory, hostile)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
