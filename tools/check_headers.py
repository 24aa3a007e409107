#!/usr/bin/env python3
"""Compiles headers alone, without the precompiled header: what a header needs, it includes itself.

    cmake --preset tidy && tools/check_headers.py build/tidy [--since COMMIT | --all | HEADER...]

The flags are those of the header's room, from compile_commands.json. Without headers: those changed since
COMMIT; by default the merge base with origin/main, on main itself the parent. Where git knows neither (a
shallow clone), none: it says so.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def git(*words):
    """Output of git, or None where it fails (no such commit, no repository)."""
    result = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else None


def default_base():
    """The commit that this change starts from, or None."""
    base = git("merge-base", "HEAD", "origin/main")
    return base if base and base != git("rev-parse", "HEAD") else git("rev-parse", "--verify", "--quiet", "HEAD~1")


def is_own_unit(path):
    """-inl.h files of Highway are text of the source that includes them."""
    return path.suffix == ".h" and not path.stem.endswith("-inl")


def headers(options):
    """The headers to compile, from the root, and why these."""
    if options.headers:
        return [pathlib.Path(h) for h in options.headers], "named"
    every = sorted(p.relative_to(ROOT) for p in (ROOT / "laconic").rglob("*.h"))
    every = [p for p in every if is_own_unit(p)]
    if options.all:
        return every, "all"
    base = options.since or default_base()
    changed = git("diff", "--name-only", base, "--", "laconic") if base else None
    if changed is None:
        return [], "no commit to compare with: --all compiles every header"
    return [p for p in every if str(p) in changed.split("\n")], f"changed since {base[:12]}"


def room_commands(build):
    """Room -> the compiler and its flags, without a source and an output."""
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        parts = pathlib.Path(entry["file"]).relative_to(ROOT).parts if entry["file"].startswith(str(ROOT)) else ()
        if parts[:1] == ("laconic",) and len(parts) > 2:
            words = shlex.split(entry["command"])
            commands.setdefault(parts[1], words[:words.index("-o")])
    return commands


def complaint(header, commands):
    """None, or what the compiler says of a header alone."""
    # What is right in a header and odd in a source: the pragma, and constants that nobody uses yet.
    alone = ["-Wno-pragma-once-outside-header", "-Wno-unused-const-variable"]
    words = [*commands[header.parts[1]], "-fsyntax-only", *alone, "-x", "c++", str(header)]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else f"{header}: does not compile alone\n{result.stderr}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path, help="a configured build without precompiled headers")
    parser.add_argument("headers", nargs="*")
    parser.add_argument("--since", metavar="COMMIT")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    chosen, reason = headers(options)
    commands = room_commands(options.build)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [fault for fault in pool.map(lambda h: complaint(h, commands), chosen) if fault]
    print("\n".join(faults) if faults else f"headers: {len(chosen)} compile alone ({reason})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
