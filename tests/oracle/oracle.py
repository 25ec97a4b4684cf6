"""The judge of a pipeline's life: what was accepted has come out, whatever was done in between.

An item whose line is in the source is an obligation. After the faults have stopped and a last run
was left in peace, the oracle looks at everything there is to see from outside (the sink, the
ledger, the reports) and says what is wrong:

- each obligation is delivered, filtered, dead-lettered or dropped, as the model says it must be;
- nothing is there that nobody sent, and no payload has changed, wherever it comes out;
- nothing is twice where docs/guarantees.md promises that; elsewhere duplicates are counted;
- items of a key are in their order where the file says so;
- the ledger has one outcome an item, and adds up, and so does each report.
"""
import json
import re
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path

from random_pipeline import RUBBISH, sum_of

BADNESS = ("filtered", "delivered", "dropped", "dead_lettered", "returned")
NO_REPLAY = "coalesce(replay_of, '') = ''"
EXACT = ("sqlite", "file")  # sinks that promise each row once


class Violation(AssertionError):
    """What the oracle found; the first of each kind."""


def rows_of(database, sql, *values):
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    connection.row_factory = sqlite3.Row
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def parts_of(text):
    return tuple(map(int, text.split("/"))) if text else ()


def begins(parts, prefix):
    return parts[:len(prefix)] == prefix


def files_of(folder, name):
    """The files of a sink `file`, in the order they were begun."""
    first = folder / f"{name}.ndjson"
    numbered = {int(match[1]): path for path in folder.glob(f"{name}.*.ndjson")
                if (match := re.fullmatch(rf"{re.escape(name)}\.(\d+)\.ndjson", path.name))}
    return [path for path in (first, *(numbered[n] for n in sorted(numbered))) if path.exists()]


class Oracle:
    def __init__(self, model, folder, outputs=()):
        self.model, self.folder, self.outputs = model, Path(folder), outputs
        self.ledger = self.folder / "state" / f"{model.name}.ledger.db"
        self.problems = defaultdict(list)
        self.duplicates = 0
        self.by_place = {(item.partition, item.offset): item for item in model.obligations()}

    def problem(self, kind, what):
        self.problems[kind].append(str(what))

    def require(self, holds, kind, what):
        if not holds:
            self.problem(kind, what)

    # --- what is there ---

    def delivered(self):
        """The items in each sink, in its order. Of a killed run's output the last may be cut."""
        return {name: [item for row in self.rows_in(name, kind)
                       for item in (row["all"] if "all" in row else [row])]
                for name, kind in self.model.sinks.items()}

    def rows_in(self, name, kind):
        if kind == "sqlite":
            return self.rows_of_table(name)
        if kind == "file":
            return [row for path in files_of(self.folder / "out", name)
                    for row in self.lines_of(path.read_bytes())]
        return [row for text, killed in self.outputs for row in self.lines_of(text, killed)]

    def rows_of_table(self, table):
        database = self.folder / "out" / "out.db"
        if not database.exists() or not rows_of(
                database, "select 1 from sqlite_master where name = ?", table):
            return []
        rows = [{name: row[name] for name in row.keys() if row[name] is not None}
                for row in rows_of(database, f'select * from "{table}" order by rowid')]
        for row in rows:
            row.update({name: json.loads(row[name]) for name in ("trail", "parts", "all")
                        if name in row})
        return rows

    def lines_of(self, text, may_be_cut=False):
        rows = []
        *lines, last = text.split(b"\n")
        self.require(not last or may_be_cut, "half a row at the end", last[:80])
        for line in lines:
            try:
                rows.append(json.loads(line))
            except ValueError:
                self.problem("a row that is none", line[:80])
        return rows

    def files_by_token(self):
        (state,), = rows_of(self.ledger, "select value from meta where key = 'source_state'")
        return {f"file:{entry['token']}": Path(entry["path"]).name
                for entry in json.loads(state)["files"]}

    def item_at(self, files, row):
        item = self.by_place.get((files.get(row["source"]), row["position"]))
        if item is None:
            self.problem("invented", f"the ledger has {row['id']}, and nobody sent it")
        return item

    # --- judgement ---

    def judge(self):
        """Call it when a run that was left in peace has ended with 0 or 3."""
        files = self.files_by_token()
        self.read_letters(files)
        self.read_dropped(files)
        delivered = self.delivered()
        for name, rows in delivered.items():
            self.check_rows(name, rows)
        self.check_letters()
        if self.model.has_letter_file:
            self.check_letter_file()
        if self.model.ordered:
            for rows in delivered.values():
                self.check_order(rows)
        self.check_marks(files)
        self.check_runs()
        if self.model.ledger == "full":
            self.check_ledger_rows(files)
        self.say()
        return self.duplicates

    def judge_replay(self):
        """Call it when all dead letters were replayed, and the model was mended."""
        files = self.files_by_token()
        self.read_dropped(files)
        self.letters, self.held = {}, set()  # nothing is held any more
        for name, rows in self.delivered().items():
            self.check_rows(name, rows)
        open_letters, = rows_of(self.ledger, "select count(*) from dead_letters where"
                                f" status = 'new' and {NO_REPLAY}")
        self.require(open_letters[0] == 0, "not replayed", f"{open_letters[0]} letters")
        self.say()

    def say(self):
        if self.problems:
            raise Violation("\n".join(
                f"{kind} ({len(found)}):\n  " + "\n  ".join(found[:5])
                for kind, found in self.problems.items()))

    def read_letters(self, files):
        """The letters, and which items are held by one: no run delivers those."""
        self.letters = defaultdict(list)
        for row in rows_of(self.ledger, f"select * from dead_letters where {NO_REPLAY}"):
            item = self.item_at(files, row)
            if item is not None:
                self.letters[item.id, parts_of(row["part"])].append(row)
        self.held = set()
        for (identity, parts), found in self.letters.items():
            if found[0]["error"].startswith("held: "):
                self.held.add((identity, parts))
                self.require(self.model.holds_keys and self.may_be_held(identity, parts),
                             "held for nothing", found[0]["id"])

    def holders(self, key):
        """Dead letters that hold the key: (partition, place) of each."""
        for (identity, parts), found in self.letters.items():
            item = self.model.items[identity]
            if item.key == key and found[0]["stage"] != "source" and (
                    not found[0]["error"].startswith("held: ")):
                yield found[0]["stage"], item.partition, (item.offset, parts)

    def may_be_held(self, identity, parts):
        """Of two partitions either may come first."""
        me = self.model.items[identity]
        return any(partition != me.partition or place < (me.offset, parts)
                   for _, partition, place in self.holders(me.key))

    def must_be_held(self, identity, parts):
        """At a stage where all come by: in a branch only what goes that way is held."""
        me = self.model.items[identity]
        stages = [stage.name for stage in self.model.stages]
        return any(stage in stages and partition == me.partition and place < (me.offset, parts)
                   for stage, partition, place in self.holders(me.key))

    def read_dropped(self, files):
        """What a full queue dropped: the items, not those they came from."""
        self.dropped = set()
        if self.model.ledger == "off":
            return
        rows = rows_of(self.ledger, f"select * from items where {NO_REPLAY}")
        parents = {(row["run"], row["source"], row["position"], parts_of(row["part"])[:-1])
                   for row in rows if row["part"]}
        for row in rows:
            place = (row["run"], row["source"], row["position"], parts_of(row["part"]))
            item = self.item_at(files, row)
            if row["outcome"] != "dropped" or place in parents or item is None:
                continue
            self.require(row["stage"] in self.model.may_drop, "dropped for nothing", dict(row))
            self.dropped.add((item.id, parts_of(row["part"])))

    def is_torn(self, identity, parts):
        """A run delivered some of what one came to, and the next one dropped that one."""
        return any((identity, parts[:length]) in self.dropped for length in range(len(parts)))

    def is_excused(self, identity, parts):
        return any((identity, parts[:length]) in excuses for length in range(len(parts) + 1)
                   for excuses in (self.dropped, self.held))

    def check_rows(self, sink, rows):
        kind = self.model.sinks[sink]
        counts = Counter((row.get("id"), tuple(row.get("parts", []))) for row in rows)
        expected, may_be_there = {}, {}
        for item in self.model.obligations():
            for leaf in item.outcomes:
                if leaf.outcome == "delivered" and leaf.sink == sink:
                    if not self.is_excused(item.id, leaf.parts):
                        expected[item.id, leaf.parts] = leaf
                    elif self.is_torn(item.id, leaf.parts):
                        may_be_there[item.id, leaf.parts] = leaf
        if kind != "null":
            for missing in expected.keys() - counts.keys():
                self.problem("lost", f"{missing} was accepted, and {sink} does not have it")
        for which, count in counts.items():
            self.require(which in expected or which in may_be_there, "invented",
                         f"{sink} has {which}, which must not be there")
            self.duplicates += count - 1
            self.require(not self.model.holds_keys or which not in expected
                         or not self.must_be_held(*which), "not held",
                         f"{which} was delivered behind a dead letter of its key")
            self.require(count == 1 or kind not in EXACT or sink in self.model.repeats, "twice",
                         f"{sink} has {which} {count} times")
        for row in rows:
            which = (row.get("id"), tuple(row.get("parts", [])))
            leaf = expected.get(which) or may_be_there.get(which)
            if leaf is not None:
                self.check_payload(sink, row, leaf)

    def check_payload(self, where, found, leaf):
        found = dict(found)
        key = found.pop("key", None)
        self.require(found == leaf.item, "changed", f"{where}: {found} and not {leaf.item}")
        if "sum" in leaf.item and found.get("sum") != sum_of(found):
            self.problem("changed", f"{where}: the sum of {found['id']} is wrong")
        if key is not None:
            self.check_key(key, leaf)

    def check_key(self, key, leaf):
        """A handler was told the key of this item, and of no other."""
        item = self.model.items[leaf.item["id"]]
        pipeline, source, _, place = key.split(":", 3)
        offset, *parts = map(int, place.split("/"))
        self.require((pipeline, source, offset) == (self.model.name, "file", item.offset)
                     and begins(leaf.parts, tuple(parts)), "a wrong key",
                     f"{item.id} {leaf.parts} was worked on under {key}")

    def check_letters(self):
        expected = {(item.id, leaf.parts): leaf for item in self.model.obligations()
                    for leaf in item.outcomes if leaf.outcome == "dead_lettered"}
        for which, leaf in expected.items():
            self.require(which in self.letters or self.is_excused(*which), "lost",
                         f"{which} must be a dead letter of {leaf.stage}, and there is none")
        for which, found in self.letters.items():
            self.require(len(found) == 1, "twice", f"{which} has {len(found)} dead letters")
            if which in self.held:
                continue
            leaf = expected.get(which)
            if leaf is None:
                self.problem("invented", f"{which} must not be a dead letter: {dict(found[0])}")
                continue
            self.check_letter(found[0], leaf)

    def check_letter(self, row, leaf):
        self.require(row["stage"] == leaf.stage and leaf.error in row["error"], "a wrong letter",
                     f"{dict(row)}, and not of {leaf.stage}: {leaf.error}")
        item = self.model.items[leaf.item["id"]]
        line = item.line.decode()
        self.check_line("the source of a letter", row["source_payload"] or row["payload"], line)
        if "sum" in leaf.item:
            self.check_payload("a letter", json.loads(row["payload"]), leaf)

    def check_letter_file(self):
        """A line for each letter, at least; and for no other."""
        path = self.folder / "out" / "dead.ndjson"
        lines = self.lines_of(path.read_bytes()) if path.exists() else []
        known = {row["id"]: row for found in self.letters.values() for row in found}
        for line in lines:
            row = known.get(line["id"])
            if row is None:
                self.problem("invented", f"the file of dead letters has {line}")
                continue
            self.require((line["stage"], line["error"]) == (row["stage"], row["error"]),
                         "changed", f"{line} in the file, {dict(row)} in the ledger")
            if row["payload"].startswith("{\"id"):
                self.require(line["item"] == json.loads(row["payload"]), "changed",
                             f"{line} in the file, {dict(row)} in the ledger")
        for missing in known.keys() - {line["id"] for line in lines}:
            self.problem("lost", f"the file of dead letters does not have {missing}")

    def check_line(self, where, found, line):
        """A line as it was, or the JSON that it is."""
        found = found if isinstance(found, str) else bytes(found).decode()
        same = found in (line, f"line:{line}", json.dumps({"line": line}, ensure_ascii=False))
        if not same and found.startswith("{\""):
            given = json.loads(found)
            same = given in ({"line": line}, json.loads(line) if line[:2] == "{\"" else None)
        self.require(same, "changed", f"{where}: {found[:200]!r} and not {line[:200]!r}")

    def check_order(self, rows):
        """By partition and key; of a row that is there twice the first counts."""
        last, seen = {}, set()
        for row in rows:
            item = self.model.items.get(row.get("id"))
            which = (row.get("id"), tuple(row.get("parts", [])))
            if item is None or which in seen:
                continue
            seen.add(which)
            lane = (item.partition, item.key if self.model.order == "key" else None)
            place = (item.offset, which[1])
            self.require(place > last.get(lane, (-1,)), "out of order",
                         f"{which} at {place} of {lane} comes behind {last.get(lane)}")
            last[lane] = max(place, last.get(lane, (-1,)))

    # --- the ledger ---

    def check_marks(self, files):
        marks = {files.get(row["source"]): row for row in rows_of(
            self.ledger, "select * from marks where source <> 'replay'")}
        for partition, size in self.model.sizes.items():
            row = marks.get(partition)
            if row is None:
                self.require(size == 0, "no mark", f"nothing is known of {partition}")
                continue
            self.require((row["low"], row["above"]) == (size, "[]"), "a mark that lags",
                         f"{partition} has {size} bytes: {dict(row)}")
        self.require(not rows_of(self.ledger, "select * from recovered"), "a mark that lags",
                     "something is still in the table 'recovered'")

    def accounted(self):
        """How many items have their outcome, replays not counted."""
        (count,), = rows_of(self.ledger, "select coalesce(sum(delivered + filtered"
                            " + dead_lettered + dropped), 0) from runs where run not in"
                            " (select run from items where replay_of <> '')")
        return count

    def check_runs(self):
        self.require(self.accounted() == len(self.by_place), "the runs do not add up",
                     f"they accounted for {self.accounted()} items of {len(self.by_place)}")

    def check_ledger_rows(self, files):
        rows = rows_of(self.ledger, f"select * from items where {NO_REPLAY}")
        once = Counter((row["id"], row["run"]) for row in rows)
        for which, count in once.items():
            self.require(count == 1, "two rows", f"{which} has {count} rows")
        final = defaultdict(list)
        roots = Counter()
        for row in rows:
            item = self.item_at(files, row)
            if item is None:
                continue
            # A child that the sink had committed, and no more is known of it, has no stage.
            if self.model.has_id and row["stage"] and not item.line.startswith(RUBBISH):
                self.require(row["business_id"] == item.id, "a wrong business id", dict(row))
            if row["outcome"] != "returned":
                final[item.id, parts_of(row["part"])].append(row)
            if not row["part"]:
                roots[row["run"], row["outcome"]] += 1
        for which, found in final.items():
            self.require(len(found) == 1, "two outcomes", [dict(row) for row in found])
        self.check_outcomes(final)
        for run in rows_of(self.ledger, "select * from runs"):
            for outcome in BADNESS:
                self.require(roots[run["run"], outcome] == run[outcome],
                             "a run that does not add up",
                             f"run {run['run']} says {outcome} {run[outcome]}, and has"
                             f" {roots[run['run'], outcome]} rows")

    def check_outcomes(self, final):
        for item in self.model.obligations():
            if (item.id, ()) not in final:
                self.problem("lost", f"{item.id} has no outcome in the ledger")
                continue
            root, worst = final[item.id, ()][0], "filtered"
            same_run = True
            for leaf in item.outcomes:
                if self.is_excused(item.id, leaf.parts):
                    same_run = False
                    continue
                found = final.get((item.id, leaf.parts), [])
                self.require([row["outcome"] for row in found] == [leaf.outcome], "a wrong outcome",
                             f"{item.id} {leaf.parts}: {[dict(row) for row in found]}, and must"
                             f" be {leaf.outcome} {leaf.stage}")
                worst = max(worst, leaf.outcome, key=BADNESS.index)
                same_run = same_run and all(row["run"] == root["run"] for row in found)
            # What a run before found out about a child is not known to the one that ends it.
            self.require(root["outcome"] == worst or not same_run, "a wrong outcome",
                         f"{item.id} is {root['outcome']}, and its children {worst}")
