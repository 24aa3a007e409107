#!/usr/bin/env python3
"""Every link between the pages leads somewhere.

usage: check_links.py FILE.md...

A link is a path, from the page it stands in, to a file or folder of the repository, with a heading of a page
behind "#" if any. Links to the web are not followed.
"""
import pathlib
import re
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def anchors(page):
    """The names that headings get on the usual sites: small letters, spaces to dashes, signs dropped."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def faults(page):
    for target in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists():
            yield f"{page}: {target}: no such file"
        elif anchor and anchor not in anchors(file):
            yield f"{page}: {target}: no such heading"


def main():
    pages = [pathlib.Path(name) for name in sys.argv[1:]]
    found = [fault for page in pages for fault in faults(page)]
    index = (pathlib.Path(__file__).resolve().parents[2] / "docs/README.md").read_text()
    found += [f"docs/README.md does not name {page.name}" for page in pages
              if page.parent.name == "docs" and page.name != "README.md" and f"({page.name})" not in index]
    print("\n".join(found) or f"{len(pages)} pages: every link leads somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
