#!/usr/bin/env python3
"""The lint against the hazard cases: it finds each shape that breaks, and only those."""

import json
import re
import shutil
import sys
import tempfile
import unittest
from pathlib import Path

import coroutine_lint

HAZARDS = coroutine_lint.ROOT / "tests/hazards"
sys.path.insert(0, str(HAZARDS))
import hazards_test  # noqa: E402

FLAGS = ["-std=c++20", f"-I{HAZARDS}"]


def function_at(text, line):
    """The name of the last `task<...> name(` at or above a line."""
    names = re.findall(r"^task<\w*> (\w+)\(", "\n".join(text.splitlines()[:line]), re.MULTILINE)
    return names[-1]


class Lint(unittest.TestCase):
    def setUp(self):
        if shutil.which(coroutine_lint.CLANG_QUERY) is None:
            self.skipTest("no clang-query-19 here")

    def functions_hit(self, name, *flags):
        source = HAZARDS / name
        text = source.read_text(encoding="utf-8")
        hits = coroutine_lint.hits_in(source, [*FLAGS, *flags])
        return {function_at(text, line) for _, line, _ in hits}

    def test_finds_what_breaks_and_nothing_else(self):
        self.assertEqual(self.functions_hit("cases.cpp"), hazards_test.BROKEN_WITH_GCC_12)

    def test_finds_what_does_not_compile_and_nothing_else(self):
        for case, function in hazards_test.COMPILE_CASES.items():
            expected = {function} if case in hazards_test.REFUSED_BY_GCC_12 else set()
            self.assertEqual(self.functions_hit("compile_cases.cpp", f"-DCASE={case}"), expected)

    def seeded(self, line, root):
        folder = Path(root) / "src"
        folder.mkdir()
        file = folder / "bad.cpp"
        file.write_text('#include "hazard_task.hpp"\nusing namespace hazards;\n'
                        f"task<> bad() {{\n  {line}\n  co_return;\n}}\n")
        return coroutine_lint.hits_in(file, FLAGS, root)

    def test_names_the_line(self):
        with tempfile.TemporaryDirectory() as root:
            found = self.seeded("throw co_await number(1);", root)
            self.assertEqual({line for _, line, _ in found}, {4})

    def test_lets_a_line_say_why_it_is_right(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(
                self.seeded("throw co_await number(1);  // coroutine_lint: a number", root), set())

    def test_a_file_that_does_not_parse_is_an_error(self):
        with tempfile.TemporaryDirectory() as root:
            with self.assertRaises(RuntimeError):
                self.seeded("no such thing;", root)


class Dangling(unittest.TestCase):
    CODE = ("struct [[clang::coro_return_type, clang::coro_lifetimebound]] job {{\n"
            "  job(const int&);\n}};\n"
            "[[clang::coro_wrapper]] job cook(const int& dish);\n"
            "{what} serve() {{\n  {line}\n}}\n")

    def setUp(self):
        if shutil.which(coroutine_lint.CLANG) is None:
            self.skipTest("no clang++-19 here")

    def found(self, line, what="void"):
        with tempfile.TemporaryDirectory() as root:
            file = Path(root).resolve() / "dangling.cpp"
            file.write_text(self.CODE.format(line=line, what=what))
            hits = coroutine_lint.dangling_in(file, ["-std=c++20"], file.parent)
            elsewhere = file.parent / "elsewhere"
            self.assertEqual(coroutine_lint.dangling_in(file, ["-std=c++20"], elsewhere), set())
            return {(number, said) for _, number, said in hits}

    def test_names_the_line_and_what_is_kept(self):
        [(line, said)] = self.found("job kept = cook(1);")
        self.assertEqual(line, 6)
        self.assertIn("a task that dangles: temporary", said)
        [(_, said)] = self.found("int local = 1; return cook(local);", "job")
        self.assertIn("address of stack memory", said)

    def test_accepts_what_lives_as_long_and_what_a_line_excuses(self):
        self.assertEqual(self.found("static int all = 1; job kept = cook(all);"), set())
        self.assertEqual(self.found("job kept = cook(1);  // coroutine_lint: never run"), set())

    def test_does_not_take_a_function_that_is_no_coroutine_for_a_mistake(self):
        self.assertEqual(self.found("static int all = 1; return cook(all);", "job"), set())

    def test_a_file_that_does_not_compile_is_an_error(self):
        with self.assertRaises(RuntimeError):
            self.found("no such thing;")


class Sources(unittest.TestCase):
    def test_takes_what_is_under_the_root_and_was_not_generated(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve()
            names = ("src/a.cpp", "build/made.cpp", "../elsewhere.cpp")
            (root / "build").mkdir()
            (root / "build/compile_commands.json").write_text(json.dumps(
                [{"directory": str(root), "file": name, "command": f"g++ -DX -c {name}"}
                 for name in names]))
            self.assertEqual(coroutine_lint.whole_tree(root / "build", root),
                             [(root / "src/a.cpp", ["-DX"])])


class Flags(unittest.TestCase):
    def test_keeps_the_meaning_and_drops_the_rest(self):
        self.assertEqual(
            coroutine_lint.plain_flags(
                "/usr/bin/g++ -DA=1 -Ia -isystem b -std=c++20 -Og -foptimize-sibling-calls"
                " -Winvalid-pch -include pch.hxx -o x.o -c x.cpp"),
            ["-DA=1", "-Ia", "-isystem", "b", "-std=c++20"])


if __name__ == "__main__":
    unittest.main()
