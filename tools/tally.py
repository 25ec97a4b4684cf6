#!/usr/bin/env python3
"""Counts the executed cases: of each connector in the connector suite, of each real server and
foreign program in all tests. What was skipped is named.

    tools/tally.py CTEST_OUTPUT CASES_LOG

CTEST_OUTPUT: what ctest printed. CASES_LOG: what tests/e2e/brigade_e2e.py wrote there; its name is
given to the tests as BRIGADE_CASES_LOG. Exits 1 when a test was skipped that could have run, and
when there is a server or program that no test had to do with.
"""

import re
import sys
from pathlib import Path

# `12/34 Test  #56: connect.source_file.gives_all_once ....   Passed    0.05 sec`
CTEST_LINE = re.compile(r"^ *\d+/\d+ Test +#\d+: (\S+) \.*(?: +(Passed)|\*\*\*(\S+))")
SUITE = re.compile(r"^connect\.(source|sink)_(\w+)\.(?!applies_to$)")

# The programs by which the tests in Python reach each, and which tests in C++ do.
SERVERS = {
    "PostgreSQL": ({"postgres", "psql"}, re.compile(r"^connect\.(source_|sink_)?postgres")),
    "SQLite": ({"sqlite", "sqlite3"}, re.compile(r"^connect\.(source_|sink_)?(sqlite|intake)")),
    "nginx": ({"nginx"}, None),
    "curl": ({"curl"}, None),
    "psql": ({"psql"}, None),
    "socat": ({"socat"}, None),
    "logger": ({"logger"}, None),
    "rsyslogd": ({"rsyslogd"}, None),
    "openssl": ({"openssl"}, None),
    "node": ({"node"}, None),
}
# Reasons for which a test may be skipped; for each of them no package can be installed.
MAY_SKIP = re.compile(r"BRIGADE_TEST_DATA|IPv6|only root can mount|with sanitizers"
                      r"|a plain function works on one after the other")
# In C++ the reason is not in the line; this needs BRIGADE_TEST_DATA.
MAY_SKIP_BY_NAME = re.compile(r"^connect\.parse_combined\.matches_every_line_of_a_real_log$")


def executed(ctest_output):
    """Names of tests that ran, and of those that were skipped."""
    ran, skipped = [], []
    for line in ctest_output.splitlines():
        found = CTEST_LINE.match(line)
        if not found:
            continue
        name, passed, other = found.groups()
        if other == "Skipped":
            skipped.append(name)
        elif passed or other != "Not":  # Not Run
            ran.append(name)
    return ran, skipped


def connectors(ran):
    counts = {}
    for name in ran:
        found = SUITE.match(name)
        if found:
            key = " ".join(found.groups())
            counts[key] = counts.get(key, 0) + 1
    return counts


def cases(log):
    """`(name, what became of it, programs)` of each line."""
    rows = (line.split("\t") for line in log.splitlines())
    return [(name, what, set(used.split())) for name, what, used in rows]


def servers(ran, python_cases):
    counts = {}
    for server, (programs, by_name) in SERVERS.items():
        count = sum(1 for _, what, used in python_cases if what == "ran" and used & programs)
        if by_name:
            count += sum(1 for name in ran if by_name.match(name))
        counts[server] = count
    return counts


def problems(counts, skipped, python_cases):
    found = [f"{server}: no test had to do with it" for server, count in counts.items()
             if count == 0]
    found += [f"{name}: skipped" for name in skipped if not MAY_SKIP_BY_NAME.match(name)]
    found += [f"{name}: {what}" for name, what, _ in python_cases
              if what != "ran" and not MAY_SKIP.search(what)]
    return found


def table(title, counts):
    print(title)
    for name, count in sorted(counts.items()):
        print(f"  {name:36} {count:5}")


def main(ctest_output, cases_log):
    ran, skipped = executed(Path(ctest_output).read_text(encoding="utf-8", errors="replace"))
    log = Path(cases_log)
    python_cases = cases(log.read_text(encoding="utf-8")) if log.exists() else []
    table("cases of the connector suite, executed:", connectors(ran))
    counts = servers(ran, python_cases)
    table("cases with a real server or foreign program, executed:", counts)
    wrong = problems(counts, skipped, python_cases)
    for line in wrong:
        print(f"FAILED: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
