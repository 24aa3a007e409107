"""Runs the program `laconic` for the tests with real readers."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("LACONIC_TEST_DATA", ROOT.parent / "shared/data"))  # real models, not in the repository
CALIBRATION, EVALUATION = (ROOT / "assets/text" / f"{name}.txt" for name in ("calibration", "evaluation"))


def run_tests(module):
    """unittest.main of a script whose first argument is the program's directory: its LACONIC runs that program."""
    module["LACONIC"] = Laconic(sys.argv[1])
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])


class Laconic:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory).resolve()

    def run(self, *arguments):
        command = [self.directory / "laconic", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    def done(self, *arguments):
        """Standard output of a run that must succeed."""
        result = self.run(*arguments)
        if result.returncode != 0:
            raise AssertionError(f"laconic {' '.join(map(str, arguments))}: exit code {result.returncode}\n{result.stderr}")
        return result.stdout

    def perplexity(self, model, context, windows, *options, text=EVALUATION):
        return json.loads(self.done("evaluate", "perplexity", model, "--text", text, "--context", context, "--windows", windows,
                                    "--json", "--quiet", *options))["perplexity"]

    def tokenize(self, path, texts):
        """Ids of each text without special tokens, by laconic_tokenize."""
        request = b"".join(b"%d\n%s" % (len(text), text) for text in (text.encode() for text in texts))
        result = subprocess.run([self.directory / "laconic_tokenize", path], input=request, capture_output=True, check=True)
        lines = result.stdout.decode().split("\n")[:len(texts)]
        for line in lines:
            if line.startswith("error"):
                raise AssertionError(line)
        return [[int(number) for number in line.split("\t")[0].split()] for line in lines]
