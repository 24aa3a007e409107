#!/usr/bin/env python3
"""Runs every command of the documentation as a reader would, from the root of the repository.

usage: run_commands.py PROGRAM_DIRECTORY FILE.md...

A fenced block marked `sh` is run line by line by bash, with the built program first in PATH; each must exit 0. A block
marked `sh fails N` must exit N. Blocks marked `sh by-hand` (set-up, builds: run by CI itself) are left out, as are `text`
blocks. All blocks of one page run in one copy of the folders they need, in order.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FENCE = re.compile(r"^```sh([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(text):
    """Yields (expected exit code, command) for every block that is to be run."""
    for mark, body in FENCE.findall(text):
        mark = mark.strip()
        if mark == "by-hand":
            continue
        fails = re.fullmatch(r"fails (\d+)", mark)
        if mark and not fails:
            sys.exit(f"unknown mark of a block: sh {mark}")
        yield (int(fails[1]) if fails else 0), body


def run_page(page, program_directory, root):
    count = 0
    environment = {**os.environ, "PATH": f"{program_directory}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("assets", "recipes"):
            shutil.copytree(root / name, pathlib.Path(folder) / name)
        # Pages name the program as it lies after the build.
        (pathlib.Path(folder) / "build/release").mkdir(parents=True)
        os.symlink(program_directory, pathlib.Path(folder) / "build/release/bin")
        for expected, body in blocks(page.read_text()):
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", body], cwd=folder, env=environment,
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL)
            count += 1
            if done.returncode != expected:
                print(f"{page.name}: exit code {done.returncode}, expected {expected}:\n{body}{done.stdout[-2000:]}{done.stderr[-2000:]}")
                return count, False
    print(f"{page.name}: {count} blocks")
    return count, True


def main():
    program_directory = pathlib.Path(sys.argv[1]).resolve()
    root = pathlib.Path(__file__).resolve().parents[2]
    results = [run_page(pathlib.Path(page), program_directory, root) for page in sys.argv[2:]]
    if sum(count for count, _ in results) == 0:
        sys.exit("no page holds a command: the test would prove nothing")
    return 0 if all(ok for _, ok in results) else 1


if __name__ == "__main__":
    sys.exit(main())
