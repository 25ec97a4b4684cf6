#!/usr/bin/env python3
"""Each rule of tidy.py, seen failing on a tree with one thing wrong."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import tidy


def problems_of(rule, files):
    return list(rule([tidy.File(path, text) for path, text in files.items()]))


class Lines(unittest.TestCase):
    def test_names_long_lines_tabs_and_trailing_space(self):
        found = problems_of(tidy.check_lines, {
            "src/async/a.cpp": "x" * 101 + "\n\tint a;\nint b; \n"})
        self.assertEqual([(line, message.split(";")[0]) for _, line, message in found],
                         [(1, "101 columns"), (2, "a tab"), (3, "space at the end of the line")])

    def test_names_what_a_merge_left(self):
        text = "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> main\n"
        found = problems_of(tidy.check_lines, {"CMakeLists.txt": text, "a.md": "a <<<<<<< b\n"})
        self.assertEqual([line for _, line, _ in found], [1, 5])

    def test_lets_prose_have_long_lines(self):
        self.assertEqual(problems_of(tidy.check_lines, {"README.md": "x" * 300 + "\n"}), [])

    def test_wants_the_last_line_to_end(self):
        self.assertEqual(len(problems_of(tidy.check_lines, {"a.py": "x = 1"})), 1)

    def test_allows_longer_files_for_tests_only(self):
        text = "int a;\n" * 600
        found = problems_of(tidy.check_file_length,
                            {"src/async/a.cpp": text, "tests/async/a_test.cpp": text})
        self.assertEqual([path for path, _, _ in found], ["src/async/a.cpp"])


class Words(unittest.TestCase):
    def check(self, text, path="src/async/a.cpp"):
        return [message for _, _, message in problems_of(tidy.check_words, {path: text})]

    def test_finds_unfinished_work(self):
        self.assertEqual(len(self.check("// FIX" "ME: later\n")), 1)
        self.assertEqual(self.check("// a hacksaw, and run-XXXXXX for mktemp\n"), [])

    def test_finds_paths_of_one_machine(self):
        for path in ("/wo" "rk/main/src", "-I/ho" "me/me/boost", "'/ro" "ot/.cache'"):
            self.assertEqual(len(self.check(path + "\n")), 1, path)
        self.assertEqual(self.check("the net/wo" "rk/layer, and homework/1\n"), [])

    def test_finds_registries(self):
        self.assertEqual(len(self.check("https://" "registry.example.org/x\n")), 1)

    def test_lets_only_the_guard_of_main_know_where_outside_data_is(self):
        line = "data=../sha" "red/data\n"
        self.assertEqual(len(self.check(line, "scripts/test")), 1)
        self.assertEqual(self.check(line, ".ci/run"), [])


class Functions(unittest.TestCase):
    def lengths(self, code):
        return [end - begin + 1 for begin, end in tidy.cpp_functions(code)]

    def test_measures_from_the_signature_to_the_last_brace(self):
        self.assertEqual(self.lengths("int f(\n  int a) {\n  return a;\n}\n"), [4])

    def test_counts_members_by_themselves_and_not_their_class(self):
        code = ("namespace a {\ntemplate <class T>\n  requires(ok<T>())\nclass b : c {\n"
                " public:\n  int f() const {\n    return 1;\n  }\n  int g() { return 2; }\n};\n}\n")
        self.assertEqual(self.lengths(code), [3, 1])

    def test_counts_a_lambda_as_part_of_its_function(self):
        self.assertEqual(self.lengths("void f() {\n  g([] {\n    h();\n  });\n}\n"), [5])

    def test_is_not_misled_by_braces_in_text(self):
        code = ('void f() {\n  g("{{{"); // {\n  h(\'{\'); /* { */\n  i(R"x({)x");\n}\n'
                'int j() { return 1; }\n')
        self.assertEqual(self.lengths(code), [5, 1])

    def test_is_not_misled_by_macros_and_tables(self):
        code = ("#define A(x) \\\n  if (x) {\nconst int table[] = {\n  f(1),\n  2};\n"
                "int g() { return 1; }\n")
        self.assertEqual(self.lengths(code), [1])

    def test_names_long_functions_of_both_languages(self):
        body = "  a();\n" * 70
        found = problems_of(tidy.check_function_length, {
            "src/async/a.cpp": "void f() {\n" + body + "}\n", "tools/a.py": "def f():\n" + body})
        self.assertEqual([(path, line) for path, line, _ in found],
                         [("src/async/a.cpp", 1), ("tools/a.py", 1)])


    def test_names_what_is_not_python(self):
        found = problems_of(tidy.check_function_length, {"tools/a.py": "x = 1\n<<<<<<< HEAD\n"})
        self.assertEqual([(path, line) for path, line, _ in found], [("tools/a.py", 2)])


class Layers(unittest.TestCase):
    def check(self, path, include, rule=tidy.check_layers):
        return len(problems_of(rule, {path: f"#include {include}\n"}))

    def test_arrows_point_one_way(self):
        for path, include, wrong in (
                ("include/brigade/async/a.hpp", "<brigade/pipeline/b.hpp>", 1),
                ("include/brigade/async/a.hpp", "<brigade/pipeline.hpp>", 1),
                ("include/brigade/pipeline/a.hpp", "<brigade/async/b.hpp>", 0),
                ("src/pipeline/a.cpp", "<brigade/connect/record.hpp>", 1),
                ("src/pipeline/a.cpp", "<brigade/testing/fakes.hpp>", 1),
                ("src/async/a.cpp", '"pipeline/engine.hpp"', 1),
                ("src/connect/file_source.cpp", '"cli/config.hpp"', 1),
                ("src/testing/a.cpp", "<brigade/connect/record.hpp>", 1),
                ("src/cli/run.cpp", "<brigade/connect/record.hpp>", 0),
                ("tests/async/a_test.cpp", "<brigade/pipeline/b.hpp>", 0)):
            self.assertEqual(self.check(path, include), wrong, (path, include))

    def test_a_folder_that_is_no_layer_is_named(self):
        self.assertEqual(self.check("src/util/a.cpp", "<vector>"), 1)

    def test_asio_stays_in_its_layer(self):
        self.assertEqual(self.check("src/async/loop.cpp", "<boost/asio/post.hpp>"), 0)
        self.assertEqual(self.check("src/connect/exec.cpp", "<boost/asio/post.hpp>"), 1)
        self.assertEqual(self.check("include/brigade/async/a.hpp", "<boost/asio/post.hpp>"), 1)

    def test_connectors_do_not_know_each_other(self):
        for include, wrong in (('"connect/sqlite_row.hpp"', 1), ('"connect/file_path.hpp"', 0),
                               ("<brigade/connect/record.hpp>", 0)):
            self.assertEqual(
                self.check("src/connect/file_sink.cpp", include, tidy.check_connectors), wrong)


class Promises(unittest.TestCase):
    def check(self, line, **more):
        files = {"docs/guarantees.md": "| `FileToNull` | yes |\n" + line + "\n",
                 "tests/e2e/kill_test.py": "def test_killed(self):\n    pass\n",
                 "tests/async/queue_test.cpp": "TEST_F(queue_test,\n       keeps_all) {\n}\n",
                 **more}
        return [message for _, _, message in problems_of(tidy.check_named_tests, files)]

    def test_are_proved_by_tests_that_are_there(self):
        for line, wrong in (
                ("`tests/async/queue_test.cpp::keeps_all`, `test_killed`", []),
                ("`tests/async/queue_test.cpp`", []),
                ("`tests/async/queue_test.cpp::keeps`",
                 ["tests/async/queue_test.cpp has no test keeps"]),
                ("`tests/async/stack_test.cpp::keeps_all`",
                 ["there is no tests/async/stack_test.cpp"]),
                ("`test_row_99`", ["there is no test test_row_99"])):
            self.assertEqual(self.check(line), wrong, line)

    def test_have_a_row_for_each_pair(self):
        ends = {"tests/oracle/sources.py": "SOURCES = (File,)\n",
                "tests/oracle/sinks.py": "SINKS = (Null,\n         Table)\n"}
        self.assertEqual(self.check("", **ends), ["has no row for the pair FileToTable: "
                                                  "tests/oracle/pairs_test.py --table"])


class Headers(unittest.TestCase):
    def test_public_headers_open_with_their_contract(self):
        found = problems_of(tidy.check_public_headers, {
            "include/brigade/async/a.hpp": '#pragma once\n#include "b.hpp"\n',
            "include/brigade/async/c.hpp": "/// What it is.\n#pragma once\n",
            "src/async/d.hpp": "int d;\n"})
        self.assertEqual([(path, line) for path, line, _ in found],
                         [("include/brigade/async/a.hpp", 1), ("include/brigade/async/a.hpp", 2),
                          ("src/async/d.hpp", 1)])

    def test_a_header_that_nobody_includes_is_dead(self):
        found = problems_of(tidy.check_headers_used, {
            "include/brigade/async/a.hpp": "#include <brigade/async/a.hpp>\n",
            "include/brigade/async/b.hpp": "",
            "src/async/c.hpp": "#include <brigade/async/b.hpp>\n",
            "src/async/c.cpp": '#include "async/c.hpp"\n',
            "src/async/d.hpp": "",
            "src/async/d.cpp": '#include "d.hpp"\n'})
        self.assertEqual([path for path, _, _ in found], ["include/brigade/async/a.hpp"])

    def test_every_noun_has_its_test_or_a_reason(self):
        tree = {f"include/brigade/{noun}.hpp": "" for noun in tidy.TESTED_ELSEWHERE}
        self.assertEqual(problems_of(tidy.check_tests_exist, tree), [])
        tree["include/brigade/async/queue.hpp"] = ""
        self.assertEqual([path for path, _, _ in problems_of(tidy.check_tests_exist, tree)],
                         ["include/brigade/async/queue.hpp"])
        tree["tests/async/queue_test.cpp"] = ""
        self.assertEqual(problems_of(tidy.check_tests_exist, tree), [])

    def test_a_reason_that_is_none_any_more_is_named(self):
        tree = {f"include/brigade/{noun}.hpp": "" for noun in tidy.TESTED_ELSEWHERE}
        stale = next(iter(tidy.TESTED_ELSEWHERE))
        tree[f"tests/{stale}_test.cpp"] = ""
        self.assertEqual(len(problems_of(tidy.check_tests_exist, tree)), 1)
        del tree[f"tests/{stale}_test.cpp"], tree[f"include/brigade/{stale}.hpp"]
        self.assertEqual(len(problems_of(tidy.check_tests_exist, tree)), 1)


class WholeTree(unittest.TestCase):
    def test_reads_an_unpacked_archive_and_ends_with_1_for_a_problem(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "build").mkdir()
            (Path(folder) / "build/out.py").write_text("\tx\n")
            (Path(folder) / "bad.py").write_text("x = 1 \n")
            self.assertEqual([file.path for file in tidy.read_tree(Path(folder))], ["bad.py"])
            with contextlib.redirect_stdout(io.StringIO()) as said:
                self.assertEqual(tidy.main([folder]), 1)
            self.assertIn("bad.py:1: space at the end of the line", said.getvalue())


if __name__ == "__main__":
    unittest.main()
