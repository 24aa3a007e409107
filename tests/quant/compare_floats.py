#!/usr/bin/env python3
"""Every float of few bits of the ml_dtypes package: we give the same code and the same number for every float16 and
every bfloat16 pattern, and read every code as it does. Usage: compare_floats.py LACONIC_CONVERT"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import ml_dtypes
    import numpy as np
except ImportError as error:
    print(f"skipped: {error}; tools/requirements/test.txt has the packages")
    sys.exit(77)

# Our word, and what the package does with numbers that are too large: it never saturates where it has a NaN.
IEEE = "format: minifloat, specials: ieee, saturating: false"
FNUZ = "specials: negative_zero, saturating: false"
FORMATS = {
    "float8_e4m3fn": "format: e4m3, saturating: false",
    "float8_e5m2": "format: e5m2, saturating: false",
    "float8_e4m3fnuz": f"format: e4m3_fnuz, {FNUZ}",
    "float8_e5m2fnuz": f"format: e5m2_fnuz, {FNUZ}",
    "float8_e4m3b11fnuz": f"format: e4m3_fnuz, exponent_bias: 11, {FNUZ}",
    "float8_e4m3": f"{IEEE}, exponent_bits: 4, mantissa_bits: 3",
    "float8_e3m4": f"{IEEE}, exponent_bits: 3, mantissa_bits: 4",
    "float8_e8m0fnu": "format: e8m0, saturating: false",
    "float6_e3m2fn": "format: e3m2",
    "float6_e2m3fn": "format: e2m3",
    "float4_e2m1fn": "format: e2m1",
    "bfloat16": f"{IEEE}, exponent_bits: 8, mantissa_bits: 7",
    "float16": f"{IEEE}, exponent_bits: 5, mantissa_bits: 10",
}
# The package rounds numbers that are subnormal in float32 up to the next power of two; we to the nearest.
SUBNORMAL_UP = {"float8_e8m0fnu"}
WITHOUT_NAN = {"float6_e3m2fn", "float6_e2m3fn", "float4_e2m1fn"}


def every_number():
    """float32 of every pattern of the two 16-bit floats."""
    patterns = np.arange(1 << 16, dtype=np.uint16)
    with np.errstate(invalid="ignore"):
        return np.concatenate([patterns.view(t).astype(np.float32) for t in (np.float16, ml_dtypes.bfloat16)])


def convert(program, quantizer, numbers, folder):
    """Our codes and elements."""
    paths = [str(folder / name) for name in ("numbers", "codes", "elements")]
    numbers.tofile(paths[0])
    subprocess.run([program, "{" + quantizer + "}", *paths], check=True)
    return np.fromfile(paths[1], np.int32), np.fromfile(paths[2], np.float32)


def faults(program, name, folder):
    """Yields what differs for one type of the package."""
    kind = np.dtype(getattr(ml_dtypes, name, None) or np.float16)
    pattern = np.uint16 if kind.itemsize == 2 else np.uint8
    bits = 16 if kind.itemsize == 2 else int(name[5])
    numbers = every_number()
    every_code = np.arange(1 << bits, dtype=pattern).view(kind).astype(np.float32)
    if name in WITHOUT_NAN:
        numbers = numbers[~np.isnan(numbers)]
    if name in SUBNORMAL_UP:
        numbers = numbers[~((np.abs(numbers) > 2.0**-127) & (np.abs(numbers) < 2.0**-126))]
    for what, inputs in (("number", numbers), ("code", every_code)):
        with np.errstate(all="ignore"):
            theirs = inputs.astype(kind)
        codes, elements = convert(program, FORMATS[name], inputs, folder)
        wanted = theirs.astype(np.float32)
        nan = np.isnan(wanted)
        # The bits of a NaN are anybody's.
        wrong = np.where(nan, ~np.isnan(elements),
                         (codes != theirs.view(pattern)) | (elements.view(np.int32) != wanted.view(np.int32)))
        if wrong.any():
            i = int(np.argmax(wrong))
            yield (f"{name}, every {what}: {int(wrong.sum())} of {wrong.size} differ, the first {inputs[i]!r}: got code "
                   f"{codes[i]} ({elements[i]!r}), want {theirs.view(pattern)[i]} ({wanted[i]!r})")


def main():
    found, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            found += faults(sys.argv[1], name, pathlib.Path(folder))
            count += 1
    known = {name for name in dir(ml_dtypes) if name.startswith(("float", "bfloat"))}
    found += [f"{name}: a type of ml_dtypes that is not compared" for name in sorted(known - set(FORMATS))]
    print("\n".join(found) if found else f"{count} types agree on {every_number().size} numbers each (those that they have) and on every code")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
