#!/usr/bin/env python3
"""Each numbered example prints what stands in the file beside it: NN_name.cpp and NN_name.out.

EXAMPLES: the folder of the programs, example_NN_name. Times such as `0.012 s` are not compared.
`examples_test.py --write` puts what is printed now into the files.
"""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent.parent / "examples"
SOURCES = sorted(FOLDER.glob("[0-9][0-9]_*.cpp"))


def program_of(source):
    return Path(os.environ["EXAMPLES"]) / f"example_{source.stem}"


def run(source):
    return subprocess.run([program_of(source)], capture_output=True, text=True, timeout=60)


def without_times(text):
    return re.sub(r"\b\d+\.\d+ s\b", "0 s", text)


class Examples(unittest.TestCase):
    def test_print_what_is_written_beside_them(self):
        for source in SOURCES:
            with self.subTest(example=source.name):
                if not program_of(source).exists() and "<png.h>" in source.read_text():
                    self.skipTest("it was not built: libpng-dev is not installed")
                done = run(source)
                expected = source.with_suffix(".out").read_text(encoding="utf-8")
                self.assertEqual(without_times(done.stdout), without_times(expected))
                self.assertEqual(done.stderr, "")

    def test_begin_with_what_they_are_and_a_picture(self):
        for source in SOURCES:
            with self.subTest(example=source.name):
                first, second, third = source.read_text(encoding="utf-8").splitlines()[:3]
                self.assertTrue(first.startswith("// "))
                self.assertEqual(second, "//")
                self.assertTrue(third.startswith("//   "))

    def test_have_numbers_without_a_gap(self):
        self.assertEqual([int(source.stem[:2]) for source in SOURCES],
                         list(range(1, len(SOURCES) + 1)))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        for one in SOURCES:
            one.with_suffix(".out").write_text(run(one).stdout, encoding="utf-8")
    else:
        unittest.main()
