#!/usr/bin/env bash
# check_install.sh BUILD SOURCE: installs, moves the tree to a path with a space, runs the program there, builds and
# runs a user's program against it, and compiles every installed header.
set -euo pipefail
build="$1" source="$2"
temporary="$(mktemp -d)"
trap 'rm -rf "$temporary"' EXIT
work="$temporary/a place"
mkdir "$work"
cmake --install "$build" --prefix "$work/first" > /dev/null
mv "$work/first" "$work/moved"
env -u LD_LIBRARY_PATH "$work/moved/bin/laconic" --version
env -u LD_LIBRARY_PATH "$work/moved/bin/laconic" recipes > /dev/null
# What is linked comes from the moved tree, not from where it was built.
linked="$(ldd "$work/moved/bin/laconic" "$work/moved/"lib*/laconic/laconic-core)"
grep -q "libtorch_cpu.so => $work/moved/" <<< "$linked" || { echo "install: LibTorch is not found in the moved tree" >&2; exit 1; }
if grep -E 'libtorch_cpu|libc10' <<< "$linked" | grep -v "$work/moved/"; then
  echo "install: the program still looks for LibTorch outside of the installed tree" >&2; exit 1
fi
build_with_package() {  # FOLDER
  cmake -S "$source/tests/install/$1" -B "$work/$1" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_PREFIX_PATH="$work/moved" > "$work/log" || { cat "$work/log"; exit 1; }
  cmake --build "$work/$1" > "$work/log" || { cat "$work/log"; exit 1; }
}
build_with_package user_program
"$work/user_program/user_program" | tee "$work/out"
grep -q "largest error" "$work/out"
build_with_package headers
echo "every installed header compiles"
