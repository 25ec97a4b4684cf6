#!/usr/bin/env python3
"""Compares what this machine's compilers do to co_await expressions with what we say they do.

docs/gcc12.md tells users which shapes g++ 12 miscompiles; coroutine_lint.py keeps them out of our
own code. This test fails when a verdict changes either way: when a shape that we rely on breaks,
and when a compiler is repaired, so that the advice can go.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Werror"]
OPTIMIZATIONS = (["-Og", "-foptimize-sibling-calls"], ["-O2"])

BROKEN_WITH_GCC_12 = {
    "lambda_with_owning_capture", "function_from_owning_lambda",
    "owning_lambda_by_forwarding_reference", "owning_coroutine_lambda_called_in_place",
    "braced_aggregate_by_value", "typed_aggregate_by_value", "braced_aggregate_by_reference",
    "aggregate_awaiter", "conditional_between_awaits", "conditional_between_tasks",
    "await_in_aggregate", "await_in_capture", "throw_of_await",
    "await_in_loop_condition_without_locals", "await_in_if_condition_without_locals",
}
RIGHT_EVERYWHERE = {
    "named_callable", "named_task", "lambda_with_reference_captures",
    "owning_lambda_inside_a_lambda", "captured_coroutine_lambda", "choice_inside_a_lambda",
    "table_of_coroutine_lambdas", "options_with_a_defaulted_constructor",
    "options_with_a_constructor", "trivial_aggregate", "named_aggregate",
    "aggregate_returned_by_a_function", "class_temporaries", "nested_awaits",
    "if_else_around_awaits", "await_in_condition_with_a_local", "await_in_condition_declaration",
    "await_hoisted_from_the_condition", "exception_amid_temporaries", "vector_built_from_names",
}
COMPILE_CASES = {
    1: "list_of_awaits", 2: "list_as_argument", 3: "vector_from_a_list_as_argument",
    4: "temporary_before_and_then_await", 5: "named_list_as_argument",
}
REFUSED_BY_GCC_12 = {1, 2, 3, 4}


def run_cases(compiler, optimization):
    """{case: 'ok' or 'broken'}"""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "cases"
        subprocess.run([compiler, *FLAGS, *optimization, HERE / "cases.cpp", "-o", program],
                       check=True)
        printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in printed.splitlines())


def compiles(compiler, case):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [compiler, *FLAGS, "-O0", f"-DCASE={case}", "-c", HERE / "compile_cases.cpp", "-o",
             Path(folder) / "case.o"], capture_output=True)
    return done.returncode == 0


class Verdicts:
    """What every compiler must get right."""

    compiler = None
    broken = set()
    refused = set()

    def test_run_cases_are_as_documented(self):
        if shutil.which(self.compiler) is None:
            self.skipTest(f"no {self.compiler} here")
        expected = {name: "ok" for name in RIGHT_EVERYWHERE | BROKEN_WITH_GCC_12}
        expected.update({name: "broken" for name in self.broken})
        with ThreadPoolExecutor(2) as pool:
            for verdicts in pool.map(lambda o: run_cases(self.compiler, o), OPTIMIZATIONS):
                self.assertEqual(verdicts, expected)

    def test_compile_cases_are_as_documented(self):
        if shutil.which(self.compiler) is None:
            self.skipTest(f"no {self.compiler} here")
        with ThreadPoolExecutor(2) as pool:
            refused = {case for case, good in
                       zip(COMPILE_CASES, pool.map(lambda c: compiles(self.compiler, c),
                                                   COMPILE_CASES)) if not good}
        self.assertEqual({COMPILE_CASES[case] for case in refused},
                         {COMPILE_CASES[case] for case in self.refused})


class Gcc(Verdicts, unittest.TestCase):
    compiler = "g++"

    def setUp(self):
        if shutil.which("g++") is None:
            self.skipTest("no g++ here")
        version = subprocess.run(["g++", "-dumpversion"], capture_output=True, text=True).stdout
        if version.split(".")[0].strip() == "12":
            self.broken, self.refused = BROKEN_WITH_GCC_12, REFUSED_BY_GCC_12


class Clang(Verdicts, unittest.TestCase):
    compiler = "clang++-19"


class Documentation(unittest.TestCase):
    def test_tells_of_every_case_that_breaks(self):
        text = (HERE.parent.parent / "docs/gcc12.md").read_text(encoding="utf-8")
        told = set(re.findall(r"`(\w+)`", text))
        wanted = BROKEN_WITH_GCC_12 | {COMPILE_CASES[case] for case in REFUSED_BY_GCC_12}
        self.assertEqual(wanted - told, set())


if __name__ == "__main__":
    unittest.main(argv=sys.argv)
