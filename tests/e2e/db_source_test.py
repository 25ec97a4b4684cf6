"""Rows of a table as items: claimed by several at once, or read behind an id, while programs are
killed, servers restarted and connections ended.

BRIGADE_E2E_KILLS says how many kills of claiming programs (6), BRIGADE_E2E_SEED which moments.
"""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import brigade_e2e
import servers
from brigade_e2e import HANDLERS, python, query, seeded, wait_until
from postgres_server import POSTGRES, Postgres, Psql

KILLS = int(os.environ.get("BRIGADE_E2E_KILLS", "6"))
ROWS = 3000
SLOW = "import sys,json,time\nfor line in sys.stdin:\n time.sleep({})\n r=json.loads(line)\n " \
       "print(json.dumps({{'id': r['id'], 'ok': r['item']}}), flush=True)\n"


class Tables(brigade_e2e.BrigadeTest):
    """The same tests for both databases: `source` says where, `execute` and `rows` ask it."""

    def claiming(self, number, name="claims", **keys):
        """A pipeline that claims, with a state of its own, and the same name as the others."""
        source = {**self.source(), "by": "claim", **keys.pop("source", {})}
        sink = {"sqlite": {"file": "out.db", "table": "rows", **keys.pop("sink", {})}}
        self.write_pipeline(
            f"claims{number}.yaml", name=name, state=f"state{number}",
            window=keys.pop("window", {"items": 200}),
            source={self.SYSTEM: source, "name": "orders"}, sink={**sink, "batch": {"count": 50}},
            ledger={"mode": "full"}, **keys)
        return f"claims{number}.yaml"

    def outcomes(self, number):
        ledger = self.folder / f"state{number}" / "claims.ledger.db"
        return dict(query(ledger, "select id, count(*) from items where outcome = 'delivered' "
                                  "group by 1")) if ledger.exists() else {}

    def settled(self):
        return int(self.rows("select count(*) from _brigade_claims where outcome is not null")
                   [0][0])

    def fill(self, count):
        self.execute("create table orders(id integer primary key, total integer)")
        self.execute("with recursive n(i) as (select 1 union all select i + 1 from n where i < "
                     f"{count}) insert into orders select i, i * 2 from n")


class Claims:
    def test_three_processes_share_a_table_and_kills_strike(self):
        """Guards: the claims' key; recovery by the marks; the numbers that go on."""
        chance = seeded(f"{self.SYSTEM} claims")
        self.fill(ROWS)
        stage = {"filter": ".id > 0", "rate": "1500/s"}
        files = [self.claiming(number, stages=[stage]) for number in range(3)]
        running = [self.start("run", file) for file in files]
        kills = 0
        while kills < KILLS:
            time.sleep(0.05 + 0.2 * chance.random())
            victim = chance.randrange(3)
            if not any(each.is_running() for each in running):
                break
            if running[victim].is_running() and running[victim].kill():
                kills += 1
            running[victim] = self.start("run", files[victim])
        results = [each.wait(60) for each in running]
        for file in files:  # what a killed one held is its own to take again
            results.append(self.brigade("run", file))
        for result in results[3:]:
            self.assert_exit(result, 0)
        self.assertGreaterEqual(kills, min(KILLS, 2), "too few kills to say anything")
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, ROWS + 1), "id")
        counts = {}
        for number in range(3):
            for item, count in self.outcomes(number).items():
                counts[item] = counts.get(item, 0) + count
        expected = {f"orders:orders:{n}": 1 for n in range(1, ROWS + 1)}
        self.assertEqual(counts, expected, "each row has one outcome, in one of the ledgers")
        self.assertEqual(self.settled(), ROWS)

    def test_rows_of_one_that_is_gone_go_to_others_when_its_lease_is_over(self):
        """Exactly once in the sink, by `dedupe`."""
        self.fill(600)
        slow = {"exec": python(self.write("slow.py", SLOW.format(0.02))), "workers": 4}
        keys = {"source": {"lease": "1s"}, "sink": {"dedupe": True}}
        first = self.start("run", self.claiming(0, stages=[slow], **keys))
        wait_until(lambda: self.settled_or_0() > 60, 20, "some rows to be done")
        self.assertTrue(first.kill())
        second = self.claiming(1, **{**keys, "source": {"lease": "1s", "mode": "tail"}})
        tail = self.start("run", second)
        wait_until(lambda: self.settled() == 600, 20, "the rows of the one that is gone")
        tail.signal(signal.SIGTERM)
        self.assert_exit(tail.wait(20), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 601), "id")

    def test_who_was_frozen_beyond_its_lease_changes_nothing_of_what_others_did(self):
        """Guards: the token; without it both would write the outcome."""
        self.fill(20)
        slow = {"exec": python(self.write("slow.py", SLOW.format(0.3))), "workers": 2}
        keys = {"source": {"lease": "1s"}, "sink": {"dedupe": True}}
        frozen = self.start("run", self.claiming(0, stages=[slow], **keys))
        wait_until(lambda: self.settled_or_0() > 1, 20, "a row to be done")
        frozen.signal(signal.SIGSTOP)
        second = self.start("run", self.claiming(
            1, **{**keys, "source": {"lease": "1s", "mode": "tail"}}))
        wait_until(lambda: self.settled() == 20, 20, "the rows of the one that is frozen")
        before = self.rows("select id, holder, token, outcome from _brigade_claims order by id")
        frozen.signal(signal.SIGCONT)
        result = frozen.wait(30)
        self.assertRegex(result.err, r"\d+ rows? (was|were) finished here after the lease had run")
        self.assertEqual(before, self.rows(
            "select id, holder, token, outcome from _brigade_claims order by id"))
        second.signal(signal.SIGTERM)
        self.assert_exit(second.wait(20), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 21), "id")

    def test_a_handler_that_takes_longer_than_the_lease_keeps_its_row(self):
        """Guards: the renewal."""
        self.fill(4)
        log = self.folder / "handled"
        handler = self.write("slow.py", "import sys,json,time\nfor line in sys.stdin:\n"
                             " r=json.loads(line)\n print(r['item']['id'], file=open("
                             f"{str(log)!r}, 'a'))\n time.sleep(2.5)\n"
                             " print(json.dumps({'id': r['id'], 'ok': r['item']}), flush=True)\n")
        stage = {"exec": python(handler), "workers": 2}
        keys = {"stages": [stage], "source": {"lease": "1s"}}
        first = self.start("run", self.claiming(0, **keys))
        wait_until(lambda: self.claimed() == 4, 20, "the rows to be claimed")
        other = self.start("run", self.claiming(1, **{**keys, "source": {
            "lease": "1s", "mode": "tail"}}))
        self.assert_exit(first.wait(30), 0)
        other.signal(signal.SIGTERM)
        self.assert_exit(other.wait(20), 0)
        self.assertEqual(sorted(log.read_text().split()), ["1", "2", "3", "4"])

    def test_a_loop_that_is_busy_for_longer_than_the_lease_keeps_its_rows(self):
        """Guards: the lease's own thread; jq holds the loop of the run."""
        self.fill(2)
        spin = {"jq": ". as $row | reduce range(0; 12000000) as $n (0; . + 1) | $row"}
        source = {"lease": "1s"}
        busy = self.start("run", self.claiming(0, stages=[spin], source=source))
        wait_until(lambda: self.claimed() == 2, 20, "the rows to be claimed")
        other = self.start("run", self.claiming(1, source={**source, "mode": "tail"}))
        result = busy.wait(60)
        self.assert_exit(result, 0)
        other.signal(signal.SIGTERM)
        self.assert_exit(other.wait(20), 0)
        self.assertGreater(result.seconds, 2, "the loop was not busy for long enough")
        self.assertEqual(len(self.outcomes(0)), 2)
        self.assertEqual(len(self.outcomes(1)), 0)

    def test_a_stop_gives_rows_back_at_once(self):
        self.fill(300)
        slow = {"exec": python(self.write("slow.py", SLOW.format(0.2)))}
        running = self.start("run", self.claiming(0, stages=[slow], stop_timeout="500ms"))
        wait_until(lambda: self.settled_or_0() > 0, 20, "a row to be done")
        running.signal(signal.SIGTERM)
        self.assert_exit(running.wait(20), 5)
        self.assert_exit(self.brigade("run", self.claiming(1)), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 301), "id")

    # Guard: of what is returned behind a fork one sink may have its part. Given back, it came again
    # under another number, which that sink's marks do not know.
    def test_a_stop_between_two_sinks_repeats_nothing_in_the_first(self):
        self.fill(40)
        slow = {"exec": python(self.write("slow.py", (
            "import os, sys, time\nsys.stdin.readline()\n"
            f"open(r'{self.folder}/begun.' + str(os.getpid()), 'w').close()\ntime.sleep(60)\n")))}
        tee = {"tee": [{"sqlite": {"file": "one.db", "table": "rows"}, "name": "one"}]}
        for run in (1, 2):
            running = self.start("run", self.claiming(0, stages=[tee, slow], stop_timeout="300ms"))
            wait_until(lambda: len(self.in_first()) >= 40 and
                       len(list(self.folder.glob("begun.*"))) == run, 20,
                       "all rows in the first sink, and one on its way to the second")
            running.signal(signal.SIGTERM)
            self.assert_exit(running.wait(20), 5)
        self.assertEqual(sorted(self.in_first()), list(range(1, 41)))
        # Nor does a stop before they come to the fork once more: some of them to a stage that does
        # not get on, the others not even to the engine.
        gate = {**slow, "name": "gate"}
        for run in (1, 2):
            running = self.start("run", self.claiming(
                0, stages=[gate, tee, slow], stop_timeout="300ms", window={"items": 10}))
            wait_until(lambda: len(list(self.folder.glob("begun.*"))) == 2 + run, 20,
                       "a row at the gate")
            running.signal(signal.SIGTERM)
            self.assert_exit(running.wait(20), 5)
        quick = {"filter": "true", "name": "exec"}
        self.assert_exit(self.brigade("run", self.claiming(0, stages=[tee, quick])), 0)
        self.assertEqual(sorted(self.in_first()), list(range(1, 41)))
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 41), "id")

    def in_first(self):
        try:
            return [n for n, in query(self.folder / "one.db", "select id from rows")]
        except sqlite3.Error:
            return []  # there is no such table yet

    def test_a_dead_letter_is_marked_and_not_taken_again(self):
        self.fill(5)
        stage = {"jq": "if .id == 3 then error(\"bad row\") else . end"}
        result, _ = self.run_pipeline(self.claiming(0, stages=[stage]), expect=3)
        self.assertEqual(self.rows("select id, outcome, stage, error from _brigade_claims where "
                                   "outcome <> 'delivered'"),
                         [("3", "dead_lettered", "jq", "bad row")])
        result, report = self.run_pipeline(self.claiming(0, stages=[stage]), expect=0)
        self.assertEqual(report["taken"], 0)
        self.execute("delete from _brigade_claims where outcome = 'dead_lettered'")
        result, report = self.run_pipeline(self.claiming(0), expect=0)
        self.assertEqual(report["taken"], 1)

    def claimed(self):
        try:
            return int(self.rows("select count(*) from _brigade_claims")[0][0])
        except (sqlite3.Error, TypeError, ValueError, IndexError):
            return 0  # there is no such table yet

    def settled_or_0(self):
        try:
            return self.settled()
        except (sqlite3.Error, TypeError, ValueError, IndexError):
            return 0  # there is no such table yet


class SqliteClaims(Claims, Tables):
    SYSTEM = "sqlite"

    def source(self):
        return {"file": "in.db", "table": "orders"}

    def execute(self, sql):
        with sqlite3.connect(self.folder / "in.db", timeout=10) as base:
            base.execute(sql)
        base.close()

    def rows(self, sql):
        return [tuple(map(str, row)) for row in query(self.folder / "in.db", sql)]

    def test_a_cursor_follows_a_table(self):
        self.fill(1000)
        self.write_pipeline("tail.yaml", name="tail", sink={"sqlite": {
            "file": "out.db", "table": "rows"}}, source={"sqlite": {
                **self.source(), "by": "cursor", "mode": "tail", "poll": "20ms"}})
        for last in (1500, 2000, 2500):
            running = self.start("run", "tail.yaml")
            self.execute("with recursive n(i) as (select max(id) + 1 from orders union all select "
                         f"i + 1 from n where i < {last}) insert into orders select i, i from n")
            wait_until(lambda: brigade_e2e.glimpse(
                self.folder / "out.db", "select count(*) from rows") >= last - 100, 20, "rows")
            running.kill()
        running = self.start("run", "tail.yaml")
        self.execute("insert into orders values (2501, 1)")
        wait_until(lambda: brigade_e2e.glimpse(
            self.folder / "out.db", "select count(*) from rows") == 2501, 20, "rows")
        running.signal(signal.SIGTERM)
        self.assert_exit(running.wait(20), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 2502), "id")

    def test_what_cannot_be_read_is_said(self):
        def said(exit_code, **source):
            self.write_pipeline("bad.yaml", name=f"bad-{len(self.started)}", sink={"null": {}},
                                source={"sqlite": source})
            result = self.brigade("run", "bad.yaml")
            self.assert_exit(result, exit_code)
            return result.err
        self.execute("create table orders(id text primary key, total integer)")
        self.execute("insert into orders values ('a', 1)")
        self.assertIn("there is no such file",
                      said(1, file="no.db", table="orders", by="cursor"))
        self.assertIn("there is no table 'order'; there are: orders",
                      said(1, file="in.db", table="order", by="cursor"))
        self.assertIn("a row has the id 'a': a cursor needs integers",
                      said(1, file="in.db", table="orders", by="cursor"))
        self.assertIn("no such column: o.nope",
                      said(1, file="in.db", table="orders", by="claim", columns=["nope"]))
        self.assertIn("'table' or 'query' says what to read", said(78, file="in.db", by="claim"))
        self.assertIn("'order' is for 'by: claim'",
                      said(78, file="in.db", table="orders", by="cursor", order="id"))


class PostgresTables(Tables):
    SYSTEM = "postgres"

    @classmethod
    def setUpClass(cls):
        cls.server = Postgres()

    @classmethod
    def tearDownClass(cls):
        cls.server.remove()

    def setUp(self):
        super().setUp()
        self.execute("drop schema public cascade")
        self.execute("create schema public")

    def source(self):
        return {"connection": self.server.conninfo(), "table": "orders"}

    def execute(self, sql):
        answer = self.server.ask(sql)
        self.assertFalse(answer and isinstance(answer[0], str), answer)

    def rows(self, sql):
        return self.server.ask(sql)

    def following(self, stages=(), **source):
        self.write_pipeline(
            "follow.yaml", name="follow", ledger={"mode": "full"},
            source={"postgres": {**self.source(), "mode": "tail", **source}, "name": "orders"},
            stages=list(stages),
            sink={"sqlite": {"file": "out.db", "table": "rows"}, "batch": {"within": "5ms"}})
        return self.start("run", "follow.yaml")

    def came(self):
        return brigade_e2e.glimpse(self.folder / "out.db", "select count(*) from rows")

    def end(self, running):
        running.signal(signal.SIGTERM)
        result = running.wait(20)
        self.assert_exit(result, 0)
        return result


class PostgresClaims(Claims, PostgresTables):
    def test_a_notification_wakes_it_and_it_does_not_poll(self):
        """Guards: LISTEN. Without, the next look is in 30 s."""
        self.execute("create table orders(id serial primary key, at timestamptz default "
                     "clock_timestamp())")
        self.execute("create function tell() returns trigger language plpgsql as $$ begin notify "
                     "orders; return null; end $$")
        self.execute("create trigger told after insert on orders execute function tell()")
        running = self.following(by="claim", notify="orders", lease="60s")
        wait_until(lambda: self.rows("select 1 from pg_stat_activity where query ilike 'listen%'"),
                   20, "it to listen")
        for count in range(1, 11):
            time.sleep(0.1)
            self.execute("insert into orders default values")
            wait_until(lambda: self.came() == count, 10, "the row")
        delays = [float(row[0]) for row in self.rows(
            "select extract(epoch from c.claimed_at - o.at) from orders o join _brigade_claims c "
            "on c.id = o.id::text order by 1")]
        self.assertLess(delays[len(delays) // 2], 0.1, delays)
        self.end(running)

    def test_connections_end_every_second_and_the_server_starts_again(self):
        """RELIABILITY: a consumer that lives and is deaf. Its throughput, held by a rate, is back
        within 10 s."""
        self.fill(20_000)
        running = self.following(by="claim", lease="10s", stages=[
            {"filter": ".id > 0", "rate": "2000/s"}])
        wait_until(lambda: self.came() > 0, 20, "rows")
        before = self.throughput(1.5)
        stop = threading.Event()

        def cut():
            with contextlib.closing(Psql(self.server.conninfo())) as session:
                while not stop.wait(1):
                    session.ask("select pg_terminate_backend(pid) from pg_stat_activity where pid "
                                "<> pg_backend_pid() and application_name like 'brigade%'")
        cutter = threading.Thread(target=cut)
        cutter.start()
        under_cuts = self.throughput(3)
        stop.set()
        cutter.join()
        self.server.restart(signal.SIGQUIT)
        back = time.monotonic()
        wait_until(lambda: self.throughput(0.5) > 0.95 * before, 10, "the throughput of before")
        print(f"{before:.0f} rows/s; cut once a second {under_cuts:.0f}; "
              f"back {time.monotonic() - back:.1f} s after the restart")
        wait_until(lambda: self.came() == 20_000, 60, "all rows")
        self.end(running)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 20_001), "id")
        self.assertEqual(self.settled(), 20_000)

    def throughput(self, seconds):
        began, first = time.monotonic(), self.came()
        time.sleep(seconds)
        return (self.came() - first) / (time.monotonic() - began)

    def test_a_run_once_waits_for_its_database_as_long_as_give_up_after_says(self):
        """Guards: the limit is the pipeline's. Its default would be five minutes."""
        self.fill(600)
        self.write_pipeline(
            "once.yaml", name="once", give_up_after="1s", window={"items": 20},
            source={"postgres": {**self.source(), "by": "claim"}, "name": "orders"},
            stages=[{"filter": ".id > 0", "rate": "200/s"}],
            sink={"sqlite": {"file": "out.db", "table": "rows"}, "batch": {"within": "5ms"}})
        running = self.start("run", "once.yaml")
        wait_until(lambda: self.came() > 0, 20, "rows")
        self.server.stop()
        try:
            result = running.wait(60)
        finally:
            self.server.start()
        self.assert_exit(result, 1)
        self.assertRegex(result.err, r"PostgreSQL at .*; for \d+ s now")
        self.assert_exit(self.start("run", "once.yaml").wait(60), 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 601), "id")

    def test_northwind_has_a_receipt_for_each_order_whatever_is_killed(self):
        data = os.environ.get("BRIGADE_TEST_DATA")
        if not data or not os.path.exists(os.path.join(data, "northwind.sql")):
            self.skipTest("no northwind.sql in BRIGADE_TEST_DATA, or that is not set")
        subprocess.run([POSTGRES / "psql", "-Xq", self.server.conninfo(), "-f",
                        os.path.join(data, "northwind.sql")], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        chance = seeded("northwind")
        charges = servers.at_end(self, servers.Nginx(self.folder, answer='{"charged": true}'))
        self.write_pipeline(
            "receipts.yaml", name="receipts", ledger={"mode": "full"}, window={"items": 100},
            source={"postgres": {**self.source(), "by": "claim"}, "name": "orders"},
            stages=[{"name": "validate", "filter": ".order_id != null and .customer_id != null",
                     "rate": "800/s"},
                    {"name": "charge", "workers": 8,
                     "http": {"url": charges.url("/charges/{order_id}"), "response": "merge",
                              "into": "charge"}}],
            sink={"postgres": {"connection": self.server.conninfo(), "table": "receipts"},
                  "batch": {"count": 20}})
        for _ in range(KILLS):
            running = self.start("run", "receipts.yaml")
            time.sleep(0.1 + 0.2 * chance.random())
            running.kill()
        self.assert_exit(self.brigade("run", "receipts.yaml"), 0)
        self.assertEqual(self.rows("select count(*), count(distinct order_id) from receipts"),
                         [("830", "830")])
        asked = {each["uri"] for each in charges.noted(200)}
        self.assertEqual(len(asked), 830)
        keys = {each["key"] for each in charges.noted(200)}
        self.assertEqual(len(keys), 830, "who is asked twice about an order is given the same key")


class PostgresCursor(PostgresTables):
    def test_rows_of_a_megabyte_take_no_gigabyte(self):
        """RELIABILITY 19. Guards: pages and stock are bounded in bytes; in rows alone all 600 would
        be there at once."""
        self.execute("create table orders(id serial primary key, note text)")
        self.execute("insert into orders(note) select repeat('x', 1 << 20) from "
                     "generate_series(1, 600)")
        self.write_pipeline(
            "large.yaml", name="large", window={"bytes": "16MiB"},
            source={"postgres": {**self.source(), "by": "cursor", "mode": "tail"},
                    "name": "orders"},
            stages=[{"jq": "{id: .id, size: (.note | length)}"}],
            sink={"sqlite": {"file": "out.db", "table": "rows"}, "batch": {"within": "5ms"}})
        running = self.start("run", "large.yaml")
        wait_until(lambda: self.came() == 600, 60, "all rows")
        status = (Path("/proc") / str(running.pid) / "status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines()
                    if line.startswith("VmHWM:")) / 1024
        self.end(running)
        print(f"peak of memory {peak:.0f} MiB")
        self.assertLess(peak, 256)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 601), "id")

    def test_rows_with_equal_stamps_and_late_commits_are_all_read(self):
        """RELIABILITY: 10 rows a timestamp, and two sessions of which one commits late. Guards:
        the fence; reading up to the largest id that is seen loses rows here."""
        self.execute("create table orders(id serial primary key, at timestamptz, who text)")
        running = self.following(by="cursor", poll="10ms")
        stop = threading.Event()

        def write(who, pause):
            session = Psql(self.server.conninfo())
            while not stop.is_set():
                session.ask("begin")
                for _ in range(5):
                    session.ask("insert into orders(at, who) select date_trunc('second', now()), "
                                f"'{who}' from generate_series(1, 10)")
                    time.sleep(pause)
                session.ask("commit")
            session.close()
        writers = [threading.Thread(target=write, args=("quick", 0)),
                   threading.Thread(target=write, args=("slow", 0.03))]
        for each in writers:
            each.start()
        wait_until(lambda: self.came() >= 10_000, 60, "ten thousand rows")
        stop.set()
        for each in writers:
            each.join()
        count = int(self.rows("select count(*) from orders")[0][0])
        wait_until(lambda: self.came() == count, 20, f"all {count} rows")
        self.end(running)
        ids = [int(row[0]) for row in self.rows("select id from orders")]
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", ids, "id")

    def test_kills_cost_nothing(self):
        chance = seeded("postgres cursor")
        self.fill(40_000)
        for _ in range(KILLS):
            running = self.following(by="cursor")
            before = self.came()
            wait_until(lambda: self.came() > before or self.came() == 40_000, 20, "rows")
            time.sleep(0.05 * chance.random())
            running.kill()
        running = self.following(by="cursor")
        # Those before may have had all there was; one more says that this one is up.
        self.execute("insert into orders values (40001, 1)")
        wait_until(lambda: self.came() == 40_001, 20, "all rows")
        self.end(running)
        self.assert_rows_exactly_once(self.folder / "out.db", "rows", range(1, 40_002), "id")

    def test_values_are_what_they_were(self):
        self.execute(
            "create table orders(id int primary key, big bigint, f float8, n numeric, t text, "
            "b bool, j json, jb jsonb, bin bytea, at timestamptz, day date, tags text[], none "
            "text)")
        self.execute(
            "insert into orders values (1, 9007199254740993, 0.1, 1234567890.12345678901234567890,"
            " E'caf\\u00e9\\n\"', true, E'{\"a\":\\n [1, 2.50]}', '{\"b\": null}', '\\x00ff', "
            "'2024-05-06 07:08:09.5+02', '2024-05-06', '{a,NULL,\"b c\"}', null)")
        self.write_pipeline("once.yaml", name="once", sink={"stdout": {}},
                            source={"postgres": {**self.source(), "by": "cursor"}})
        result = self.brigade("run", "once.yaml")
        self.assert_exit(result, 0)
        self.assertIn('"n":1234567890.12345678901234567890', result.out)
        self.assertEqual(json.loads(result.out), {
            "id": 1, "big": 9007199254740993, "f": 0.1, "n": 1234567890.1234567, "t": "café\n\"",
            "b": True, "j": {"a": [1, 2.5]}, "jb": {"b": None}, "bin": "\\x00ff",
            "at": "2024-05-06T05:08:09.5+00:00", "day": "2024-05-06", "tags": ["a", None, "b c"],
            "none": None})

    def test_what_cannot_be_read_is_said_and_no_password(self):
        def said(exit_code, **source):
            self.write_pipeline("bad.yaml", name=f"bad-{len(self.started)}", sink={"null": {}},
                                source={"postgres": {**self.source(), **source}})
            result = self.brigade("run", "bad.yaml")
            self.assert_exit(result, exit_code)
            self.assertNotIn("s3cret", result.err)
            return result.err
        self.execute("create table orders(id uuid primary key, total int)")
        self.execute("create table blocks(id serial primary key)")
        self.execute("alter sequence blocks_id_seq cache 10")
        self.execute("create role reader login password 's3cret'")
        self.execute("grant usage on schema public to reader")
        self.execute("grant select on orders to reader")
        reader = self.server.conninfo().replace("user=postgres", "user=reader password=s3cret")
        self.assertIn("there is no table 'order'; there are: blocks, orders",
                      said(1, table="order", by="cursor"))
        self.assertIn("is of type uuid: a cursor needs integers", said(1, by="cursor"))
        self.assertIn("handed out 10 at a time", said(1, table="blocks", by="cursor"))
        self.assertIn("permission denied", said(1, by="claim", connection=reader))
        self.assertIn("Connection refused",
                      said(1, by="claim", connection="host=127.0.0.1 port=1 password=s3cret"))
        self.assertIn("column o.nope does not exist", said(1, by="claim", columns=["nope"]))


if __name__ == "__main__":
    brigade_e2e.main()
