#!/usr/bin/env python3
"""The mistakes that the compiler or the lint must catch, each beside what is right.

A case is a file here: compiled with -DBAD it must fail, saying what its head announces; without, it
must pass, with every compiler there is and the lint. `// g++: <regular expression>` in the head,
likewise `clang` and `lint`, says who catches it. So an accident, as a header that no longer exists,
is not taken for a catch.
"""

import os
import re
import shutil
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import coroutine_lint  # noqa: E402

INCLUDE = f"-I{ROOT / 'include'}"
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", INCLUDE]
COMPILERS = {"g++": "g++", "clang": "clang++-19"}
# Owns, and is braced all the same: a runner has no place in a coroutine.
OUTSIDE_COROUTINES = {"runner_options"}
LINT_TOOLS = (coroutine_lint.CLANG, coroutine_lint.CLANG_QUERY)


def available(tool):
    if tool == "lint":
        return all(shutil.which(name) for name in LINT_TOOLS)
    return shutil.which(COMPILERS[tool]) is not None


def complaints(tool, case, *flags):
    """What the tool says against a case; nothing when it accepts it."""
    if tool == "lint":
        flags = ["-std=c++20", INCLUDE, *flags]
        hits = coroutine_lint.hits_in(case, flags) | coroutine_lint.dangling_in(case, flags)
        return "\n".join(what for _, _, what in sorted(hits))
    done = subprocess.run([COMPILERS[tool], *FLAGS, *flags, str(case)], capture_output=True,
                          text=True, env={**os.environ, "LC_ALL": "C"})
    said = done.stderr.replace("‘", "'").replace("’", "'")
    return said if done.returncode != 0 else ""


def verdict(case):
    """What is wrong with a case itself, or nothing."""
    announced = dict(re.findall(r"^// (g\+\+|clang|lint): +(.*)$", case.read_text(encoding="utf-8"),
                                re.MULTILINE))
    if not announced:
        return f"{case.name}: nobody is said to catch it"
    for tool in ("g++", "clang", "lint"):
        if not available(tool):
            continue
        said = complaints(tool, case)
        if said:
            return f"{case.name}: {tool} refuses what is right:\n{said}"
        if tool in announced:
            said = complaints(tool, case, "-DBAD")
            if not re.search(announced[tool], said):
                return f"{case.name}: {tool} should have said {announced[tool]!r}:\n{said}"
    return ""


class CompileFail(unittest.TestCase):
    def test_each_mistake_is_caught_and_its_cure_is_not(self):
        cases = sorted(HERE.glob("*.cpp"))
        self.assertGreaterEqual(len(cases), 11)
        with ThreadPoolExecutor(2) as pool:
            wrong = [text for text in pool.map(verdict, cases) if text]
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_options_can_be_braced_inside_an_await(self):
        """With g++ 12: none of ours is an aggregate that owns."""
        lines = ["#include <type_traits>"]
        for header in sorted((ROOT / "include").rglob("*.hpp")):
            names = re.findall(r"^struct (\w+_(?:options|policy)) \{", header.read_text("utf-8"),
                               re.MULTILINE)
            if names:
                lines.append(f"#include <{header.relative_to(ROOT / 'include')}>")
            for name in sorted(set(names) - OUTSIDE_COROUTINES):
                lines.append(f"static_assert(!std::is_aggregate_v<brigade::{name}> ||"
                             f" std::is_trivially_destructible_v<brigade::{name}>);")
        self.assertGreater(len(lines), 6)
        done = subprocess.run(["g++", *FLAGS, "-x", "c++", "-"], input="\n".join(lines) + "\n",
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
