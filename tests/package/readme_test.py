#!/usr/bin/env python3
"""What the README shows is what runs: its program, its pipeline file, its commands.

BRIGADE_PROGRAM: the program, for the pipeline file.
"""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language):
    """The one block of code in this language, but for those that say which file they are from."""
    own = re.sub(r"^<!-- \S+ -->\n```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(rf"^```{language}\n(.*?)^```$", own, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"the README has {len(found)} blocks of {language}"
    return found[0]


class Readme(unittest.TestCase):
    def test_shows_the_program_that_is_built_and_run_here(self):
        self.assertEqual(block("cpp"),
                         (ROOT / "tests/package/consumer/main.cpp").read_text(encoding="utf-8"))

    def test_shows_a_pipeline_file_without_a_mistake(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "orders.yaml"
            file.write_text(block("yaml"), encoding="utf-8")
            done = subprocess.run([os.environ["BRIGADE_PROGRAM"], "check", file, "--offline"],
                                  capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_links_to_what_is_there(self):
        for page in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/design/README.md"):
            text = (ROOT / page).read_text(encoding="utf-8")
            text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)  # a lambda is no link
            for target in re.findall(r"\]\(([^)#:]+)\)", text):
                self.assertTrue((ROOT / page).parent.joinpath(target).exists(),
                                f"{page} links to {target}")

    def test_names_scripts_that_can_be_run(self):
        for script in set(re.findall(r"\bscripts/\w+", README)):
            self.assertTrue(os.access(ROOT / script, os.X_OK), script)


if __name__ == "__main__":
    unittest.main()
