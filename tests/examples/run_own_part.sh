#!/usr/bin/env bash
# run_own_part.sh BINARIES SOURCE: the example with parts of its own does what its text says.
set -euo pipefail
binaries="$1" source="$2"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$source"

"$binaries/own_part" | tee "$work/shown"
grep -q 'reads back: equal' "$work/shown"
grep -q 'round_from(fraction 0.4)' "$work/shown"
grep -q 'gradient leaky(part 0.1)' "$work/shown"
grep -A1 'gradient:' "$work/shown" | grep -q '0.1' # of what is clipped

"$binaries/own_part" quantize assets/tiny-lm --recipe examples/own_part.yaml --quiet --out "$work/q"
perplexity="$("$binaries/own_part" evaluate perplexity "$work/q" --text assets/text/evaluation.txt --context 256 \
  --against assets/tiny-lm --json --quiet)"
# Float has 58.264, rounding to nearest in groups of 32 has 59.576: a good range may be near that.
python3 -c 'import json, sys; p = json.loads(sys.argv[1])["perplexity"]; print(p); sys.exit(not 58 < p < 62)' "$perplexity"

"$binaries/own_part" recipes --quantizers > "$work/listed" # not into grep -q, which ends before the list does
grep -q 'round_from' "$work/listed"

# The plain program says what it does not know.
if "$binaries/laconic" evaluate perplexity "$work/q" --text assets/text/evaluation.txt 2> "$work/refused"; then
  echo "own_part: the plain program read a part that it does not have" >&2; exit 1
fi
grep -q 'times_rms' "$work/refused"
