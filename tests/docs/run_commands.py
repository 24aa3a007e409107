#!/usr/bin/env python3
"""Does what the documentation says, as a reader would, and holds what it shows.

usage: run_commands.py PROGRAM_DIRECTORY FILE.md...

What the mark of a fenced block means:
  sh             run by bash, the built program first in PATH; must exit 0
  sh fails N     must exit N
  sh by-hand     not run: set-up and builds. A script that CI runs must have every command in it (its first
                 two words; paths differ)
  text output    what the block of commands before it prints: standard output, or standard error when it
                 fails. "..." stands for any text in a line, and a line of it for any lines
  cpp FILE       a part of FILE, which the build compiles
All blocks of one page run in one copy of the folders they need, in order.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ("quickstart", ".ci/run", "tests/install/check_install.sh")


class Fault(Exception):
    pass


def check_by_hand(body):
    scripts = "\n".join((ROOT / name).read_text() for name in SCRIPTS)
    for line in body.splitlines():
        command = " ".join(line.split()[:2])
        if command and command not in scripts:
            raise Fault(f"no script of {', '.join(SCRIPTS)} runs this by-hand command: {command}")


def check_output(shown, printed):
    parts = [".*".join(re.escape(part) for part in line.split("...")) if line.strip() != "..." else None
             for line in shown.splitlines()]
    pattern = "".join("(?:.*\n)*" if part is None else part + "\n" for part in parts)
    if not re.fullmatch(pattern, printed):
        raise Fault(f"the page shows\n{shown}but printed was\n{printed}")


def check_part(name, body):
    if body not in (ROOT / name).read_text():
        raise Fault(f"{name} does not hold this block:\n{body}")


def run_block(body, expected, folder, environment):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", body], cwd=folder, env=environment,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != expected:
        raise Fault(f"exit code {done.returncode}, expected {expected}:\n{body}{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout if expected == 0 else done.stderr


def run_blocks(text, folder, environment):
    """Returns how many blocks were checked."""
    printed, count = None, 0
    for mark, body in FENCE.findall(text):
        words = mark.split()
        fails = re.fullmatch(r"sh fails (\d+)", mark.strip())
        if mark.strip() == "sh by-hand":
            check_by_hand(body)
        elif words == ["sh"] or fails:
            printed = run_block(body, int(fails[1]) if fails else 0, folder, environment)
        elif words == ["text", "output"]:
            if printed is None:
                raise Fault("text output: no commands before it")
            check_output(body, printed)
        elif len(words) == 2 and words[0] == "cpp":
            check_part(words[1], body)
        elif words and words[0] == "sh":
            raise Fault(f"unknown mark of a block: {mark}")
        else:
            continue
        count += 1
    return count


def run_page(page, program_directory):
    environment = {**os.environ, "PATH": f"{program_directory}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("assets", "recipes"):
            shutil.copytree(ROOT / name, pathlib.Path(folder) / name)
        # Pages name the program as it lies after the build.
        (pathlib.Path(folder) / "build/release").mkdir(parents=True)
        os.symlink(program_directory, pathlib.Path(folder) / "build/release/bin")
        count = run_blocks(page.read_text(), folder, environment)
    print(f"{page.name}: {count} blocks")
    return count


def main():
    program_directory = pathlib.Path(sys.argv[1]).resolve()
    checked, faults = 0, 0
    for page in map(pathlib.Path, sys.argv[2:]):
        try:
            checked += run_page(page, program_directory)
        except Fault as fault:
            print(f"{page.name}: {fault}")
            faults += 1
    if checked == 0:
        sys.exit("no page holds a command: the test would prove nothing")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
