#!/usr/bin/env python3
"""Compares names.txt with the tests that conformance_tests really has, and with excluded.md.

Every case of asyncio's own tests that means something in C++ is a test of ours or a row that says
why not. CONFORMANCE_PROGRAM names the built program; without it only the comparison itself is
tested.
"""

import os
import re
import subprocess
import unittest
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXCLUDED_MAX = 45
# How often each case of a suite runs: once a queue, and once a way to start a task.
RUNS = {"QueueJoinTests": 3, "QueueShutdownTests": 3, "TaskGroupTests": 2}


def names_of(text):
    """`Suite.name` a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def excluded_of(text):
    """The reason of each row `| Suite.name | why |`."""
    rows = re.findall(r"^\| *`?(\w+\.\w+)`? *\|(.*)\|\s*$", text, flags=re.MULTILINE)
    return [(name, why.strip()) for name, why in rows]


def tests_of(listing):
    """`Suite.name` of each line of --gtest_list_tests, without what parameters add to the names."""
    tests, suite = [], None
    for line in listing.splitlines():
        name = line.split("#")[0].rstrip()
        if re.fullmatch(r"[\w/]+\.", name):  # Suite. | Suite/0. | all/Suite. | all/Suite/0.
            parts = name[:-1].split("/")
            suite = next((part for part in parts if part.endswith("Tests")), name[:-1])
        elif suite and re.fullmatch(r"  [\w/]+", name):
            tests.append(f"{suite}.{name.split('/')[0].strip()}")
    return tests


def problems(names, tests, excluded):
    """One line for each thing that is wrong; none when every case is accounted for."""
    runs, reasons = Counter(tests), dict(excluded)
    yield from (f"{name}: listed twice" for name, count in Counter(names).items() if count > 1)
    yield from (f"{name}: excluded twice" for name, count in
                Counter(name for name, _ in excluded).items() if count > 1)
    yield from (f"{name}: excluded, but there is no such case" for name in reasons
                if name not in names)
    yield from (f"{name}: a test of no case in names.txt" for name in runs if name not in names)
    for name in dict.fromkeys(names):
        wanted = RUNS.get(name.split(".")[0], 1)
        if name in reasons:
            if runs[name]:
                yield f"{name}: tested and excluded"
            if not reasons[name]:
                yield f"{name}: excluded without a reason"
        elif runs[name] == 0:
            yield f"{name}: neither tested nor excluded"
        elif runs[name] != wanted:
            yield f"{name}: runs {runs[name]} times, not {wanted}"
    if len(reasons) > EXCLUDED_MAX:
        yield f"{len(reasons)} cases are excluded; at most {EXCLUDED_MAX}"


class EveryCase(unittest.TestCase):
    def test_is_tested_or_excluded(self):
        program = os.environ.get("CONFORMANCE_PROGRAM")
        if not program:
            self.skipTest("CONFORMANCE_PROGRAM is not set")
        listing = subprocess.run([program, "--gtest_list_tests"], check=True, capture_output=True,
                                 text=True).stdout
        names = names_of((HERE / "names.txt").read_text(encoding="utf-8"))
        excluded = excluded_of((HERE / "excluded.md").read_text(encoding="utf-8"))
        tests = tests_of(listing)
        found = list(problems(names, tests, excluded))
        print(f"{len(names)} cases, {len(set(tests))} tested, {len(excluded)} excluded")
        self.assertEqual(found, [], "\n" + "\n".join(found))


class Comparison(unittest.TestCase):
    def found(self, names, tests, excluded=()):
        return list(problems(names, tests, list(excluded)))

    def test_is_content_when_each_name_has_its_test_or_reason(self):
        names = ["ATests.a", "ATests.b"]
        self.assertEqual(self.found(names, ["ATests.a"], [("ATests.b", "why")]), [])
        self.assertEqual(self.found(["QueueJoinTests.j"], ["QueueJoinTests.j"] * 3), [])

    def test_names_what_is_missing_or_too_much(self):
        cases = {
            "neither tested nor excluded": (["ATests.a"], []),
            "a test of no case": ([], ["ATests.a"]),
            "tested and excluded": (["ATests.a"], ["ATests.a"], [("ATests.a", "why")]),
            "excluded without a reason": (["ATests.a"], [], [("ATests.a", "")]),
            "there is no such case": ([], [], [("ATests.a", "why")]),
            "listed twice": (["ATests.a"] * 2, ["ATests.a"]),
            "excluded twice": (["ATests.a"], [], [("ATests.a", "why")] * 2),
            "runs 2 times, not 3": (["QueueJoinTests.j"], ["QueueJoinTests.j"] * 2),
            "runs 1 times, not 2": (["TaskGroupTests.g"], ["TaskGroupTests.g"]),
            "runs 2 times, not 1": (["ATests.a"], ["ATests.a"] * 2),
        }
        for message, given in cases.items():
            with self.subTest(message):
                found = self.found(*given)
                self.assertEqual(len(found), 1)
                self.assertIn(message, found[0])

    def test_counts_the_exclusions(self):
        names = [f"ATests.n{i}" for i in range(EXCLUDED_MAX + 1)]
        found = self.found(names, [], [(name, "why") for name in names])
        self.assertEqual(found, ["46 cases are excluded; at most 45"])

    def test_reads_the_names_of_a_listing_and_of_a_table(self):
        listing = ("Running main() from gtest_main.cc\nATests.\n  a\n  DISABLED_b\n"
                   "QueueJoinTests/0.  # TypeParam = brigade::queue<int>\n  j\n"
                   "all/TaskGroupTests.\n  g/0  # GetParam() = 0\n  g/eager  # GetParam() = 1\n")
        self.assertEqual(tests_of(listing), ["ATests.a", "ATests.DISABLED_b", "QueueJoinTests.j",
                                             "TaskGroupTests.g", "TaskGroupTests.g"])
        table = "| case | why |\n|---|---|\n| ATests.a | no such thing |\n| `BTests.b` | |\n"
        self.assertEqual(excluded_of(table), [("ATests.a", "no such thing"), ("BTests.b", "")])


if __name__ == "__main__":
    unittest.main()
