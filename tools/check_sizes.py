#!/usr/bin/env python3
"""Checks that no source file is longer than 500 lines, but for those that tools/long_files.txt gives a reason for,
and that files committed stay small."""
import pathlib
import subprocess
import sys

LIMIT = 500
SUFFIXES = {".h", ".cpp", ".cu", ".cuh", ".py", ".cmake"}


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    allowed = {line.split()[0] for line in (root / "tools/long_files.txt").read_text().splitlines()
               if line.strip() and not line.startswith("#")}
    names = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
    found = []
    for name in filter(None, names):
        path = root / name
        if path.suffix not in SUFFIXES or not path.exists() or name in allowed or name.startswith("assets/"):
            continue
        lines = path.read_text(errors="replace").count("\n")
        if lines > LIMIT:
            found.append(f"{name}: {lines} lines; the limit is {LIMIT}: split it by concept")
    print("\n".join(found) if found else "sizes: every source is short")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
