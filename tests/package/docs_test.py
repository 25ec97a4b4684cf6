#!/usr/bin/env python3
"""The C++ in the chapters is compiled, their output is what is printed, their links lead somewhere.

A block of C++ follows a line that says where it is from: `<!-- examples/02_hello_queue.cpp -->`,
or a test. It is all of that file, or lines of it in one piece, indented as they like; a line `...`
leaves some out. A block of text behind `<!-- examples/02_hello_queue.out -->` is that file.
"""

import re
import textwrap
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CHAPTERS = ("tour", "queues", "cancellation", "lifetimes", "threads-and-processes", "testing",
            "coming-from-asyncio", "pipelines", "admin", "write-a-connector")
MARKED = re.compile(r"^<!-- (\S+) -->\n```(?:cpp|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def chapter(name):
    folder = ROOT if name == "README" else ROOT / "docs"
    return (folder / f"{name}.md").read_text(encoding="utf-8")


def pieces(block):
    """The parts of a block between lines that say `...`."""
    return [textwrap.dedent(piece).strip("\n")
            for piece in re.split(r"^ *(?:// )?\.\.\.\n", block, flags=re.MULTILINE)]


def stands_in(piece, text):
    """Whether these lines stand in the text one after another, however far they are indented."""
    wanted = piece.splitlines()
    lines = text.splitlines()
    for first in range(len(lines) - len(wanted) + 1):
        part = textwrap.dedent("\n".join(lines[first:first + len(wanted)])).splitlines()
        if part == wanted:
            return True
    return False


class Chapters(unittest.TestCase):
    def test_show_code_that_is_compiled_and_output_that_is_printed(self):
        for name in (*CHAPTERS, "README"):
            for source, block in MARKED.findall(chapter(name)):
                text = (ROOT / source).read_text(encoding="utf-8")
                for piece in pieces(block):
                    with self.subTest(chapter=name, source=source):
                        self.assertTrue(stands_in(piece, text),
                                        f"{source} does not have\n{piece}")

    def test_have_no_code_of_unknown_origin(self):
        for name in CHAPTERS:
            with self.subTest(chapter=name):
                blocks = re.findall(r"^```cpp$", chapter(name), re.MULTILINE)
                marked = [source for source, _ in MARKED.findall(chapter(name))
                          if source.endswith((".cpp", ".hpp"))]
                self.assertEqual(len(blocks), len(marked))

    def test_link_to_what_is_there(self):
        for name in CHAPTERS:
            text = re.sub(r"^```.*?^```|`[^`\n]*`", "", chapter(name), flags=re.S | re.M)
            for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
                with self.subTest(chapter=name, target=target, anchor=anchor):
                    page = ROOT / "docs" / target if target else ROOT / "docs" / f"{name}.md"
                    self.assertTrue(page.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(page))

    def test_name_tests_that_exist(self):
        for name in CHAPTERS:
            for suite, test, file in re.findall(r"\[`(\w+)\.(\w+)`\]\(\.\./([^)]+)\)",
                                                chapter(name)):
                with self.subTest(chapter=name, test=test):
                    text = (ROOT / file).read_text(encoding="utf-8")
                    self.assertRegex(text, rf"TEST(?:_F|_P)?\(\s*{suite},\s*{test}\)")

    def test_the_tour_shows_each_example_whole(self):
        shown = dict(MARKED.findall(chapter("tour")))
        for source in sorted((ROOT / "examples").glob("[0-9][0-9]_*.cpp"))[1:]:
            path = f"examples/{source.name}"
            if path in shown:
                with self.subTest(example=path):
                    self.assertEqual(shown[path], source.read_text(encoding="utf-8"))
                    self.assertIn(path.replace(".cpp", ".out"), shown)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


if __name__ == "__main__":
    unittest.main()
