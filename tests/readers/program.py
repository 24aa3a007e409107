"""Runs the program `laconic` for the tests with real readers."""
import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CALIBRATION, EVALUATION = (ROOT / "assets/text" / f"{name}.txt" for name in ("calibration", "evaluation"))


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

    def perplexity(self, model, context, windows, *options):
        return json.loads(self.done("evaluate", "perplexity", model, "--text", EVALUATION, "--context", context, "--windows", windows,
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
