#!/usr/bin/env python3
"""Every public header compiles by itself, and twice, with each compiler there is.

So a user may include any of them first, and need not know what it needs.
"""

import shutil
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

INCLUDE = Path(__file__).resolve().parent.parent.parent / "include"
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Woverloaded-virtual",
         "-Werror", "-fsyntax-only", "-x", "c++", f"-I{INCLUDE}"]


def complaint(compiler, header):
    """What the compiler says of a file that has nothing but the header, or nothing."""
    line = f"#include <{header.relative_to(INCLUDE)}>\n"
    done = subprocess.run([compiler, *FLAGS, "-"], input=line * 2, capture_output=True, text=True)
    return f"{compiler} {header.relative_to(INCLUDE)}:\n{done.stderr}" if done.returncode else ""


class HeadersAlone(unittest.TestCase):
    def compile_all(self, compiler):
        if shutil.which(compiler) is None:
            self.skipTest(f"no {compiler} here")
        headers = sorted(INCLUDE.rglob("*.hpp"))
        self.assertGreater(len(headers), 10)
        with ThreadPoolExecutor(2) as pool:
            said = [text for text in pool.map(lambda h: complaint(compiler, h), headers) if text]
        self.assertEqual(said, [], "\n".join(said))

    def test_with_gcc(self):
        self.compile_all("g++")

    def test_with_clang(self):
        self.compile_all("clang++-19")


if __name__ == "__main__":
    unittest.main()
