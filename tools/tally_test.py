#!/usr/bin/env python3
"""tally.py with outputs that are made up: what it counts, and that what it must refuse it does."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tally  # noqa: E402

CTEST = """\
      Start  1: connect.source_file.applies_to
 1/10 Test  #1: connect.source_file.applies_to ..............   Passed    0.05 sec
 2/10 Test  #2: connect.source_file.gives_all_once ..........   Passed    0.05 sec
 3/10 Test #13: connect.sink_postgres.opens_and_closes ......***Failed    0.05 sec
 4/10 Test  #4: connect.sqlite_sink.a_row ...................   Passed    0.05 sec
 5/10 Test  #5: async.queue.DISABLED_x ......................***Not Run (Disabled)   0.00 sec
 6/10 Test  #6: e2e.http_sink ...............................   Passed    9.00 sec
"""
ALL = "nginx curl psql socat logger rsyslogd openssl node"
LOG = f"""\
http_sink_test.NginxTest.test_a\tran\t{ALL}
http_sink_test.NginxTest.test_b\tran\tnginx
admin_test.AdminTest.test_c\tskipped: there is no IPv6 here\t
"""


class Tally(unittest.TestCase):
    def tally(self, ctest=CTEST, log=LOG):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / "ctest", Path(folder) / "log"]
            for path, text in zip(paths, (ctest, log)):
                path.write_text(text)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                status = tally.main(*paths)
        return status, said.getvalue()

    def test_counts_what_ran(self):
        status, said = self.tally()
        self.assertEqual(status, 0, said)
        for name, count in (("source file", 1), ("sink postgres", 1), ("nginx", 2), ("curl", 1),
                            ("PostgreSQL", 2), ("SQLite", 1)):
            self.assertRegex(said, rf"(?m)^  {name} +{count}$")

    def test_a_skipped_test_is_a_failure(self):
        status, said = self.tally(log=LOG + "x_test.X.test_d\tskipped: there is no node\t\n")
        self.assertEqual(status, 1)
        self.assertIn("FAILED: x_test.X.test_d: skipped: there is no node", said)

    def test_a_skipped_test_of_ctest_is_a_failure(self):
        line = " 7/10 Test  #7: connect.http.a_test .......***Skipped    0.00 sec\n"
        status, said = self.tally(ctest=CTEST + line)
        self.assertEqual(status, 1)
        self.assertIn("FAILED: connect.http.a_test: skipped", said)

    def test_a_server_without_a_case_is_a_failure(self):
        status, said = self.tally(log=LOG.replace("socat", ""))
        self.assertEqual(status, 1)
        self.assertIn("FAILED: socat: no test had to do with it", said)


if __name__ == "__main__":
    unittest.main()
