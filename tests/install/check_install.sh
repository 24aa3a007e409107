#!/usr/bin/env bash
# check_install.sh BUILD SOURCE: installs, moves the tree, runs the program there, and builds and runs
# a user's program against it.
set -euo pipefail
build="$1" source="$2"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/first" > /dev/null
mv "$work/first" "$work/moved"
env -u LD_LIBRARY_PATH "$work/moved/bin/laconic" --version
env -u LD_LIBRARY_PATH "$work/moved/bin/laconic" recipes > /dev/null
# What is linked comes from the moved tree, not from where it was built.
if ldd "$work/moved/bin/"* | grep -E 'libtorch_cpu|libc10' | grep -v "$work/moved/"; then
  echo "install: the program still looks for LibTorch outside of the installed tree" >&2; exit 1
fi
cmake -S "$source/tests/install/user_program" -B "$work/user" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/moved" > "$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/user" > "$work/log" || { cat "$work/log"; exit 1; }
"$work/user/user_program" | tee "$work/out"
grep -q "largest error" "$work/out"
