"""Row 10: a power cut at any moment. What was not synced may be gone, or half there.

The program runs with `recorder.cpp` preloaded, which writes down each write, fsync, new file and
removal. From that the disk is made as a power cut may have left it: at a moment, with what was
synced by then and, of the rest, nothing, everything or any part of it, whatever came first. The
next run must then bring everything to a good end, and the ledger must never know of a row that
the disk does not have.

CRASH_RECORDER is the library; CRASH_POINTS how many moments for each kind of cut (20), the seed is
BRIGADE_E2E_SEED.
"""
import json
import os
import re
import shutil
import sqlite3
import sys
import unittest
from pathlib import Path

from life import brigade_e2e
from brigade_e2e import numbers, query, seeded

ITEMS = 60
POINTS = int(os.environ.get("CRASH_POINTS", "20"))
RECORDER = os.environ.get("CRASH_RECORDER", "")
RECORD = re.compile(rb"(\w+) (\S+) (\d+) (\d+)\n")
VOLATILE = ("-shm",)  # shared memory: made anew from the log


class Operation:
    def __init__(self, what, path, offset, data):
        self.what, self.path, self.offset, self.data = what, path, offset, data

    def __repr__(self):
        return f"{self.what} {self.path} {self.offset}+{len(self.data)}"

    def apply(self, contents, share=1):
        """All of it, or the first part of what it wrote."""
        if self.what == "truncate":
            del contents[self.offset:]
            contents.extend(bytes(self.offset - len(contents)))
        else:
            data = self.data[:int(len(self.data) * share)]
            contents.extend(bytes(max(0, self.offset - len(contents))))
            contents[self.offset:self.offset + len(data)] = data


def read_log(path):
    text, at, operations = Path(path).read_bytes(), 0, []
    while at < len(text):
        head = RECORD.match(text, at)
        length = int(head[4])
        operations.append(Operation(head[1].decode(), head[2].decode(), int(head[3]),
                                    text[head.end():head.end() + length]))
        at = head.end() + length
    return [each for each in operations if not each.path.endswith(VOLATILE)]


class File:
    """What is on the disk of it for certain, and what may or may not be."""

    def __init__(self):
        self.synced, self.pending = bytearray(), []

    def sync(self):
        for operation in self.pending:
            operation.apply(self.synced)
        self.pending.clear()

    def after_a_cut(self, survives):
        contents = bytearray(self.synced)
        for operation in self.pending:
            if share := survives():
                operation.apply(contents, share)
        return bytes(contents)


class Disk:
    """Files and the folders that name them: a name is there, or gone, for certain when its folder
    is synced."""

    def __init__(self, folders):
        self.names, self.synced_names = {}, dict.fromkeys(folders, "folder")
        self.names.update(self.synced_names)

    def do(self, operation):
        what, path = operation.what, operation.path
        if what == "create":
            self.names[path] = File()
        elif what == "folder":
            self.names[path] = "folder"
        elif what == "remove":
            self.names.pop(path, None)
        elif what == "rename":
            self.names[operation.data.decode()] = self.names.pop(path)
        elif what == "sync" and path in self.names and isinstance(self.names[path], File):
            self.names[path].sync()
        elif what == "sync":
            self.sync_folder(path)
        elif path in self.names:
            self.names[path].pending.append(operation)

    def sync_folder(self, folder):
        def inside(path):
            return (os.path.dirname(path) or ".") == folder
        for path in [path for path in self.synced_names if inside(path)]:
            del self.synced_names[path]
        self.synced_names.update({path: it for path, it in self.names.items() if inside(path)})

    def after_a_cut(self, survives):
        """Paths and contents; a folder has None."""
        names = dict(self.synced_names)
        for path in sorted(set(self.names) | set(self.synced_names)):
            if self.names.get(path) is not self.synced_names.get(path) and survives():
                names.pop(path, None)
                if path in self.names:
                    names[path] = self.names[path]
        found = {}
        for path, it in sorted(names.items()):
            parent = os.path.dirname(path)
            if parent and parent not in found:
                continue  # nothing leads there
            found[path] = None if it == "folder" else it.after_a_cut(survives)
        return found


@unittest.skipUnless(RECORDER, "CRASH_RECORDER is not set: there is none with sanitizers")
class CrashTest(brigade_e2e.BrigadeTest):
    def record(self, sink):
        """A whole run; what it did to the disk."""
        self.write("numbers.ndjson", numbers(ITEMS))
        (self.folder / "out").mkdir()
        self.pipeline(sink, "if .n % 10 == 3 then error(\"no\") else . end")
        return self.recorded(3, "run", "pipeline.yaml", "--report", "out/report.json")

    def pipeline(self, sink, program):
        self.write_pipeline(name="cut", ledger={"mode": "full"},
                            source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                            stages=[{"jq": program}],
                            dead_letters={"file": "out/dead.ndjson"},
                            sink={**sink, "batch": {"count": 10, "within": "1ms"}})

    def recorded(self, expect, *arguments):
        log = Path(f"{self.folder}.log")
        log.unlink(missing_ok=True)
        self.addCleanup(lambda: log.unlink(missing_ok=True))
        result = self.brigade(*arguments, env={
            "LD_PRELOAD": RECORDER, "CRASH_ROOT": str(self.folder), "CRASH_LOG": str(log)})
        self.assert_exit(result, expect)
        operations = read_log(log)
        self.assertGreater(len(operations), 30)
        self.assertGreater(sum(each.what == "sync" for each in operations), 8, operations)
        return operations

    def put(self, contents):
        """The folder as the cut left it; the input is another disk's, and stays."""
        for name in ("state", "out"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for path, content in contents.items():
            if content is None:
                (self.folder / path).mkdir()
            else:
                (self.folder / path).write_bytes(content)

    def good(self):
        return [n for n in range(1, ITEMS + 1) if n % 10 != 3]

    def rows(self):
        raise NotImplementedError

    def delivered_by_the_ledger(self):
        """On a copy: whoever opens a database makes good what was left of it."""
        copy = self.folder / "look"
        shutil.rmtree(copy, ignore_errors=True)
        if not self.ledger("cut").exists():
            return 0
        shutil.copytree(self.folder / "state", copy)
        try:
            (count,), = query(copy / "cut.ledger.db",
                              "select coalesce(sum(delivered), 0) from runs")
            return count
        except sqlite3.OperationalError:  # no table yet
            return 0

    def cut_and_go_on(self, operations, at, survives):
        disk = Disk(["out"])
        for operation in operations[:at]:
            disk.do(operation)
        self.put(disk.after_a_cut(survives))
        report = self.folder / "out" / "report.json"
        if report.exists():  # whole, or not at all
            self.assertEqual(json.loads(report.read_text())["dead_lettered"], 6)
        known, there = self.delivered_by_the_ledger(), len(self.rows())
        self.assertLessEqual(known, there, "the ledger knows of rows that are not there")
        result = self.brigade("run", "pipeline.yaml")
        self.assertIn(result.exit, (0, 3), result.err)
        self.assertEqual(sorted(self.rows()), self.good())
        self.assertEqual(query(self.ledger("cut"), "select outcome, count(*), count(distinct id)"
                               " from items where outcome <> 'returned' group by 1 order by 1"),
                         [("dead_lettered", 6, 6), ("delivered", 54, 54)])
        letters = query(self.ledger("cut"), "select count(*), count(distinct id) from dead_letters")
        self.assertEqual(letters, [(6, 6)])
        lines = (self.folder / "out" / "dead.ndjson").read_text().splitlines()
        self.assertEqual({json.loads(line)["item"]["n"] for line in lines},
                         set(range(3, ITEMS + 1, 10)))

    def cut_everywhere(self, sink):
        self.at_all_moments(self.record(sink), self.cut_and_go_on)

    def at_all_moments(self, operations, cut_and_go_on):
        chance = seeded("crash_test")
        # The share of a write that survives, of those that were not synced.
        kinds = {"nothing else": lambda: 0, "everything": lambda: 1,
                 "any part": lambda: chance.choice((0, 0, 1, 1, chance.random()))}
        lines = [at + 1 for at, each in enumerate(operations)
                 if each.what == "write" and each.path.endswith(".ndjson")]
        kinds["half a line"] = lambda: chance.uniform(0.05, 0.95)
        for kind, survives in kinds.items():
            moments = lines if kind == "half a line" else range(len(operations) + 1)
            for at in sorted(chance.sample(moments, min(POINTS, len(moments)))):
                with self.subTest(survives=kind, at=at, last=operations[max(0, at - 4):at]):
                    cut_and_go_on(operations, at, survives)
        print(f"{len(operations)} operations", file=sys.stderr, flush=True)


class FileTest(CrashTest):
    def rows(self):
        # One file's half a line is not the beginning of the next file's first.
        text = "\n".join(path.read_text(errors="replace")
                         for path in (self.folder / "out").glob("out*.ndjson"))
        return [int(n) for n in re.findall(r'^\{"n": ?(\d+)\}$', text, re.MULTILINE)]

    # Guards: the list of files is synced before a row goes to a new one, and its folder; a new
    # file's folder is synced; the list is read at the start, and gone only when all is cut.
    def test_row_10_rotated_files_after_a_power_cut(self):
        self.cut_everywhere({"file": {"path": "out/out.ndjson", "rotate_size": "150B"}})

    # Guard: the files are cut, in a replay as in a run.
    def test_row_10_a_replay_after_a_power_cut(self):
        sink = {"file": {"path": "out/out.ndjson", "rotate_size": "400B"}}
        self.record(sink)
        before = self.folder / "before"
        before.mkdir()
        for name in ("state", "out"):
            shutil.copytree(self.folder / name, before / name)
        self.pipeline(sink, ".")
        replay = ("dlq", "replay", self.ledger("cut"))
        operations = self.recorded(0, *replay)

        def cut_and_go_on(operations, at, survives):
            disk = Disk(["out", "state"])
            for path in sorted(before.glob("*/*")):
                name = str(path.relative_to(before))
                disk.names[name] = disk.synced_names[name] = File()
                disk.names[name].synced = bytearray(path.read_bytes())
            for operation in operations[:at]:
                disk.do(operation)
            self.put(disk.after_a_cut(survives))
            known, there = self.delivered_by_the_ledger(), len(self.rows())
            self.assertLessEqual(known, there, "the ledger knows of rows that are not there")
            self.assert_exit(self.brigade(*replay), 0)
            self.assertEqual(sorted(self.rows()), list(range(1, ITEMS + 1)))
            self.assertEqual(query(self.ledger("cut"), "select status, count(*) from"
                                   " dead_letters group by 1"), [("replayed", 6)])
        self.at_all_moments(operations, cut_and_go_on)

    # Guards: the sink's fdatasync; its sync of the folder; the ledger's `synchronous = FULL`; half
    # a dead letter is taken out of its file.
    def test_row_10_a_file_after_a_power_cut(self):
        self.cut_everywhere({"file": {"path": "out/out.ndjson"}})


class SqliteTest(CrashTest):
    def rows(self):
        database, copy = self.folder / "out" / "out.db", self.folder / "look-out"
        shutil.rmtree(copy, ignore_errors=True)
        if not database.exists():
            return []
        shutil.copytree(self.folder / "out", copy)
        try:
            return [n for n, in query(copy / "out.db", "select n from t")]
        except sqlite3.OperationalError:  # no table yet
            return []

    # Guards: the sink's `synchronous = FULL`; its marks in the transaction of the rows.
    def test_row_10_a_table_after_a_power_cut(self):
        self.cut_everywhere({"sqlite": {"file": "out/out.db", "table": "t"}})


if __name__ == "__main__":
    brigade_e2e.main()
