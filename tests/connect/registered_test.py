"""Every source and sink that `brigade list` knows is in the connector suite: as itself, and where
it can be used in several ways as `NAME_way` too."""
import re
import subprocess
import sys
import unittest

PROGRAM, TESTS = sys.argv[1:3]


def listed(kind):
    """The names below `sources`, or `sinks`."""
    text = subprocess.run([PROGRAM, "list"], check=True, capture_output=True, text=True).stdout
    part = re.search(rf"(?ms)^{kind}s\n(.*?)^\n", text + "\n")[1]
    return re.findall(r"(?m)^  (\w+)", part)


def registered(kind):
    text = subprocess.run([TESTS, "--gtest_list_tests", f"--gtest_filter={kind}_*.applies_to"],
                          check=True, capture_output=True, text=True).stdout
    return re.findall(rf"(?m)^{kind}_(\w+)\.$", text)


class Registered(unittest.TestCase):
    def check(self, kind, at_least):
        there = registered(kind)
        known = listed(kind)
        self.assertGreaterEqual(len(known), at_least, known)
        for name in known:
            self.assertTrue(any(each == name or each.startswith(name + "_") for each in there),
                            f"{kind} {name} is not in the connector suite; describe it in "
                            f"tests/connect/connector_suite_*_test.cpp, see "
                            f"docs/write-a-connector.md. In it are: {' '.join(there)}")

    def test_every_source(self):
        self.check("source", 4)

    def test_every_sink(self):
        self.check("sink", 4)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
