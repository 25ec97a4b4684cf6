"""kill -9 at any instant, into files: every item exactly once, in one file or in many.

As `kill_test.py`, which has the table. Here the files are cut to what the ledger knows of, also
those that were begun since.
"""
import json
import os
import re

import kill_test
import brigade_e2e


class FileKilling(kill_test.Killing):
    KILLS = int(os.environ.get("BRIGADE_E2E_KILLS", "8"))
    SINK = {"file": {"path": "out/numbers.ndjson"}}

    def begin(self, name, items):
        super().begin(name, items)
        (self.place / "out").mkdir()

    def lines(self):
        return [line for path in (self.place / "out").glob("*.ndjson")
                for line in path.read_bytes().split(b"\n")[:-1]]

    def rows_so_far(self):
        return brigade_e2e.lines_in((self.place / "out").glob("*.ndjson"))

    def keys_of_rows(self):
        rows = [json.loads(line) for line in self.lines()]
        self.assertEqual(sorted(row["n"] for row in rows), list(range(1, self.items + 1)))
        return {row["n"]: row["key"] for row in rows}


class OneFileTest(FileKilling):
    # Guard: the file is cut to the length of the token.
    def test_kills_lose_nothing_and_repeat_nothing_in_a_file(self):
        self.kill_and_judge("kill_file_test, one file")


class RotatedFilesTest(FileKilling):
    SINK = {"file": {"path": "out/numbers.ndjson", "rotate_size": "20KB", "rotate_every": "1s"}}

    # Guard: the list of files begun since is read.
    def test_kills_lose_nothing_and_repeat_nothing_in_rotated_files(self):
        self.kill_and_judge("kill_file_test, rotated")
        names = {path.name for path in (self.place / "out").glob("*.ndjson")}
        self.assertGreater(len(names), 5)
        self.assertTrue(all(re.fullmatch(r"numbers(\.\d+)?\.ndjson", name) for name in names))

    def test_killed_at_each_step_from_one_file_to_the_next(self):
        # In the run, and again where the next run mends it.
        for point in ("switch", "write"):
            for step in range(1, 9) if point == "switch" else (1, 4):
                with self.subTest(point, step=step):
                    self.begin(f"{point}{step}", kill_test.ITEMS_AT_A_POINT)
                    path = self.place / "pipeline.yaml"
                    path.write_text(path.read_text().replace('"20KB"', '"6KB"')
                                    .replace('"count": 100', '"count": 50'))
                    self.dies_at(f"in_file_{point}:{step}")
                    self.dies_at(f"in_file_switch:{1 + step % 2}")
                    self.finish()
                    self.assert_nothing_lost_nothing_twice(0, 2)


if __name__ == "__main__":
    brigade_e2e.main()
