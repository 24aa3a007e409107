#!/bin/sh
# run.sh MODULE SCRIPT ARGUMENTS...: runs a script of this folder with the Python that LACONIC_PYTHON names; says that it skips
# (exit code 77) when there is none, or when that Python lacks the module.
module="$1"
shift
if [ -z "$LACONIC_PYTHON" ]; then
  echo "skipped: set LACONIC_PYTHON to a Python with $module"
  exit 77
fi
if ! "$LACONIC_PYTHON" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$module') is None)"; then
  echo "skipped: $LACONIC_PYTHON has no package $module"
  exit 77
fi
GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-10000}" # as laconic/cli/main.cpp: two tests at a time share the cores
export GOMP_SPINCOUNT
cd "$(dirname "$0")" && exec "$LACONIC_PYTHON" "$@"
