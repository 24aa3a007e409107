#!/usr/bin/env python3
"""Checks that a room includes only itself and rooms below it (docs/architecture.md)."""
import pathlib
import re
import sys

# Bottom to top.
ROOMS = ["base", "kernel", "file", "optimize", "quant", "nn", "graph", "runtime", "model", "load", "evaluate",
         "processes", "calibrate", "transform", "solve", "train", "export", "search", "recipe", "cli"]


def faults(root):
    """Yields one sentence for every include that points up, and for every folder that is no room."""
    height = {room: i for i, room in enumerate(ROOMS)}
    for folder in sorted(p.name for p in (root / "laconic").iterdir() if p.is_dir()):
        if folder not in height:
            yield f"laconic/{folder}: not a room; add it to docs/architecture.md and tools/check_layers.py"
    for path in sorted((root / "laconic").rglob("*")):
        if path.suffix not in {".h", ".cpp", ".cu", ".cuh"}:
            continue
        room = path.relative_to(root / "laconic").parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include\s+"laconic/([^/"]+)/', line)
            if found and height.get(found[1], 99) > height.get(room, -1):
                yield f"{path.relative_to(root)}:{number}: {room} may not use {found[1]}, which stands above it"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    found = list(faults(root))
    print("\n".join(found) if found else "layers: every arrow points down")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
