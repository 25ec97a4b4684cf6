"""An access log through examples/access.yaml into SQLite: counts by status equal awk's."""
import os
import shutil
import subprocess
from itertools import accumulate
from pathlib import Path

import brigade_e2e
from brigade_e2e import EXAMPLES, query

# The status is the first word behind the quoted request, in which quotes may be escaped.
COUNT_BY_STATUS = r"""
{ gsub(/\\\\/, ""); gsub(/\\"/, ""); split($0, quoted, "\""); split(quoted[3], word, " ")
  count[word[1]]++ }
END { for (status in count) print status, count[status] }
"""


def awk_counts(text):
    said = subprocess.run(["awk", COUNT_BY_STATUS], input=text, capture_output=True, check=True,
                          env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    return {int(status): int(count)
            for status, count in (line.split() for line in said.stdout.splitlines())}


class AccessLogTest(brigade_e2e.BrigadeTest):
    def run_log(self, log, expect):
        shutil.copy(EXAMPLES / "access.yaml", self.folder)
        places = {"ACCESS_LOG": str(log), "ACCESS_DB": str(self.folder / "access.db"),
                  "STATE": str(self.folder / "state")}
        _, report = self.run_pipeline("access.yaml", expect=expect, env=places)
        return report

    def counts(self):
        return dict(query(self.folder / "access.db",
                          "select status, count(*) from requests group by status"))

    def test_our_own_slice_is_understood_whole(self):
        log = EXAMPLES / "access.log"
        report = self.run_log(log, expect=0)
        self.assertEqual((report["taken"], report["delivered"]), (200, 200))
        self.assertEqual(self.counts(), awk_counts(log.read_bytes()))

    def test_fields_have_their_types_and_a_dash_is_null(self):
        self.run_log(EXAMPLES / "access.log", expect=0)
        self.assertEqual(
            query(self.folder / "access.db",
                  "select typeof(status), count(*) from requests group by 1"), [("integer", 200)])
        dashes = sum(1 for line in (EXAMPLES / "access.log").read_text().splitlines()
                     if line.replace('\\"', "").split('"')[2].split()[1] == "-")
        self.assertGreater(dashes, 0)
        self.assertEqual(
            query(self.folder / "access.db",
                  "select typeof(bytes), count(*) from requests group by 1 order by 1"),
            [("integer", 200 - dashes), ("null", dashes)])
        self.assertEqual(query(self.folder / "access.db", "select max(bytes) from requests"),
                         [(5368709120,)], "more than 32 bits")

    def test_ten_thousand_lines_of_a_real_server(self):
        data = os.environ.get("BRIGADE_TEST_DATA")
        log = Path(data or "/nonexistent", "apache_access.log")
        if not log.exists():
            self.skipTest("no apache_access.log in BRIGADE_TEST_DATA, or that is not set")
        # The 8899th line of it lost its closing quote. Whether that is forgiven is open here, but
        # nothing else may be refused, and what is refused must be a dead letter.
        lines = log.read_bytes().splitlines(keepends=True)
        line_at = dict(zip(accumulate(map(len, lines), initial=0), lines))
        broken = {offset for offset, line in line_at.items() if line.count(b'"') % 2}
        report = self.run_log(log, expect=None)
        refused = {int(letter["id"].rsplit(":", 1)[1]) for letter in report["dead_letters"]}
        self.assertLessEqual(refused, broken)
        self.assertEqual(report["exit"], 3 if refused else 0)
        self.assertEqual((report["taken"], report["delivered"]),
                         (len(lines), len(lines) - len(refused)))
        understood = b"".join(line for offset, line in line_at.items() if offset not in refused)
        self.assertEqual(self.counts(), awk_counts(understood))


if __name__ == "__main__":
    brigade_e2e.main()
