"""Rows into a real PostgreSQL: every item exactly once, whatever is killed, ended or silent.

RELIABILITY rows 6, 12, 13, 20, 25. BRIGADE_E2E_KILLS says how many kills are counted (8).
"""
import contextlib
import os
import signal
import sys
import time

import brigade_e2e
import kill_test
from brigade_e2e import numbers, wait_until
from postgres_server import Postgres, Psql

SERVER = None


def setUpModule():
    global SERVER
    SERVER = Postgres("fsync=off", "max_connections=20")


def tearDownModule():
    SERVER.remove()


class Rows:
    """What is asked of the database, which is `self.database`."""

    def make_database(self, name):
        self.database = name
        SERVER.ask(f'create database "{name}"')

    def sink(self, **more):
        return {"postgres": {"connection": SERVER.conninfo(self.database), "table": "numbers",
                             **more}}

    def number(self, sql):
        """One number; 0 while there is nothing to see."""
        rows = SERVER.ask(sql, self.database)
        return int(rows[0][0]) if rows and isinstance(rows[0], tuple) else 0

    def assert_numbers_exactly_once(self, count):
        rows = SERVER.ask("select count(*), count(distinct n), min(n), max(n) from numbers",
                          self.database)
        self.assertEqual(rows, [(str(count), str(count), "1", str(count))])


class PostgresKillTest(Rows, kill_test.Killing):
    KILLS = int(os.environ.get("BRIGADE_E2E_KILLS", "8"))

    def begin(self, name, items):
        self.make_database(name)
        self.SINK = self.sink()
        super().begin(name, items)

    def rows_so_far(self):
        return self.number("select count(*) from numbers")

    def keys_of_rows(self):
        self.assert_numbers_exactly_once(self.items)
        rows = SERVER.ask("select n, key from numbers", self.database)
        return {int(n): key for n, key in rows}

    def test_kills_lose_nothing_and_repeat_nothing(self):
        self.kill_and_judge("postgres_kill_test")

    def test_killed_between_the_sinks_commit_and_the_ledger(self):
        self.begin("commit", kill_test.ITEMS_AT_A_POINT)
        self.dies_at("after_sink_commit:3")
        self.dies_at("in_recovery")
        self.finish()
        self.assert_nothing_lost_nothing_twice(1, 2)


class PostgresSinkTest(Rows, brigade_e2e.BrigadeTest):
    def setUp(self):
        super().setUp()
        self.make_database(self.id().rsplit(".", 1)[-1][:63])

    def write_numbers(self, count, batch=None, sink=None, **keys):
        self.write("numbers.ndjson", numbers(count))
        self.write_pipeline(
            name="orders", source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            sink={**(sink or self.sink()), "batch": {"count": batch or 500}}, **keys)

    def assert_these_fail_alone(self, bad, table, why):
        """Of a thousand rows in one batch; `bad` are their indexes."""
        lines = numbers(1000).splitlines()
        for at in bad:
            lines[at] = f'{{"n": "{at} is no number"}}'
        self.write_numbers(1, batch=1000)
        self.write("numbers.ndjson", "\n".join(lines) + "\n")
        SERVER.ask(table, self.database)
        _, report = self.run_pipeline(expect=3)
        good = 1000 - len(bad)
        self.assertEqual((report["delivered"], report["dead_lettered"]), (good, len(bad)))
        rows = SERVER.ask("select n from numbers", self.database)
        wanted = sorted(str(at + 1) for at in set(range(1000)) - set(bad))
        self.assertEqual(sorted(row[0] for row in rows), wanted)
        letters = self.brigade("dlq", "ls", self.ledger("orders"))
        self.assertIn(why.format(bad[0]), letters.out)

    def test_row_12_one_bad_row_of_a_thousand_fails_alone(self):
        self.assert_these_fail_alone([617], "create table numbers (n bigint not null)",
                                     'invalid input syntax for type bigint: "{} is no number"')

    def test_row_12_thirty_bad_rows_of_a_thousand_fail_alone(self):
        self.assert_these_fail_alone(range(5, 1000, 34)[:30],
                                     "create table numbers (n bigint not null)",
                                     'invalid input syntax for type bigint: "{} is no number"')

    def test_row_12_a_thousand_bad_rows_of_a_thousand_fail(self):
        self.assert_these_fail_alone(range(1000), "create table numbers (n bigint not null)",
                                     'invalid input syntax for type bigint: "{} is no number"')

    def test_row_12_what_breaks_a_constraint_at_the_commit_fails_alone(self):
        self.assert_these_fail_alone(
            [3, 700], "create table known (n text primary key); insert into known select i::text "
            "from generate_series(1, 1000) i; create table numbers (n text references known "
            "deferrable initially deferred)", 'violates foreign key constraint')

    def test_row_12_a_serialization_failure_blames_nobody_and_repeats_the_batch(self):
        SERVER.ask(f'alter database "{self.database}" set default_transaction_isolation to '
                   "'repeatable read'")
        SERVER.ask("create table numbers (n bigint primary key, key text, note text); insert into "
                   "numbers select i from generate_series(1, 1000) i", self.database)
        self.write_numbers(1000, batch=1000, sink=self.sink(key="n"))
        with contextlib.closing(Psql(SERVER.conninfo(self.database))) as other:
            other.ask("begin; update numbers set note = 'mine' where n = 500")
            running = self.start("run", "pipeline.yaml", "--report", "report.json")
            wait_until(lambda: self.number(
                "select count(*) from pg_stat_activity where application_name = 'brigade orders' "
                f"and wait_event_type = 'Lock' and datname = '{self.database}'") > 0, 30,
                "brigade to wait for the row")
            other.ask("commit")
            self.assert_exit(running.wait(30), 0)
        self.assertIn("could not serialize access", (SERVER.folder / "log").read_text())
        report = self.checked_report(self.folder / "report.json")
        self.assertEqual((report["delivered"], report["dead_lettered"]), (1000, 0))
        self.assert_numbers_exactly_once(1000)
        self.assertEqual(self.number("select count(*) from numbers where note = 'mine'"), 1)

    def test_row_13_a_right_that_is_taken_away_for_a_while_costs_no_item(self):
        """Guards: 42501 is an outage, nobody's fault."""
        role = "weak_13"
        SERVER.ask(f"create role {role} login")
        SERVER.ask(f"create table numbers (n bigint); grant insert on numbers to {role}; "
                   f"grant create on schema public to {role}", self.database)
        sink = {"postgres": {"connection": SERVER.conninfo(self.database) + f" user={role}",
                             "table": "numbers"}, "rate": "2000/s"}
        self.write_numbers(3000, batch=100, sink=sink)
        running = self.start("run", "pipeline.yaml", "--report", "report.json")
        wait_until(lambda: self.number("select count(*) from numbers") > 0, 30, "rows")
        SERVER.ask(f"revoke insert on numbers from {role}", self.database)
        running.wait_for_words("is down, intake pauses", 30, "the outage")
        SERVER.ask(f"grant insert on numbers to {role}", self.database)
        self.assert_exit(running.wait(60), 0)
        report = self.checked_report(self.folder / "report.json")
        self.assertEqual((report["delivered"], report["dead_lettered"]), (3000, 0))
        self.assert_numbers_exactly_once(3000)

    def test_row_25_a_server_that_is_down_holds_up_the_others_only_where_it_is_required(self):
        for required in (False, True):
            with self.subTest(required=required):
                name = f"fan_{required}".lower()
                self.make_database(name)
                self.write("numbers.ndjson", numbers(4000))
                table = name + "_rows"
                self.write_pipeline(
                    f"{name}.yaml", name=name, window={"items": 200}, stop_timeout="1s",
                    source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                    stages=[{"filter": ".n > 0", "rate": "2000/s"}, {"tee": [
                        {"to": [{**self.sink(), "batch": {"count": 50}}], "required": required},
                        {"sqlite": {"file": "out.db", "table": table}}]}])
                running = self.start("run", f"{name}.yaml")
                there = lambda: brigade_e2e.glimpse(  # noqa: E731
                    self.folder / "out.db", f"select count(*) from {table}")
                wait_until(lambda: there() > 0, 30, "rows")
                SERVER.stop()
                try:
                    if required:
                        running.wait_for_words("is down, intake pauses", 30, "the outage")
                        time.sleep(0.5)
                        before = there()
                        time.sleep(1)
                        self.assertEqual(there(), before)  # the window is full
                    else:
                        wait_until(lambda: there() == 4000, 60, "all rows")
                finally:
                    SERVER.start()
                self.assert_exit(running.wait(60), 0)
                self.assertEqual(there(), 4000)
                if required:
                    self.assert_numbers_exactly_once(4000)

    def test_restarts_and_crashes_of_the_server_lose_nothing(self):
        self.write_numbers(40_000)
        running = self.start("run", "pipeline.yaml", "--report", "report.json")
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGQUIT):
            before = self.number("select count(*) from numbers")
            wait_until(lambda: self.number("select count(*) from numbers") > before
                       or not running.is_running(), 30, "more rows")
            SERVER.restart(how)
        self.assert_exit(running.wait(60), 0)
        self.checked_report(self.folder / "report.json")
        self.assert_numbers_exactly_once(40_000)

    def rows_a_second(self, seconds):
        begun = time.monotonic()
        before = self.number("select count(*) from numbers")
        time.sleep(seconds)
        rows = self.number("select count(*) from numbers") - before
        return rows / (time.monotonic() - begun)

    def test_row_20_sessions_ended_every_second_and_it_recovers_within_ten(self):
        rate = 1000  # a second, so that what is measured is brigade and not the machine
        self.write_pipeline(
            name="orders", source={"generate": {"json": '{"n": {n}}', "every": "1ms"}},
            sink={**self.sink(), "batch": {"count": 100}})
        running = self.start("run", "pipeline.yaml", "--report", "report.json")
        wait_until(lambda: self.number("select count(*) from numbers") > 0, 30, "rows")
        baseline = self.rows_a_second(1)
        self.assertGreater(baseline, 0)
        ended = 0
        for _ in range(5):
            ended += self.number("select count(pg_terminate_backend(pid)) from pg_stat_activity"
                                 " where application_name = 'brigade orders'")
            time.sleep(1)
        self.assertGreaterEqual(ended, 4, "sessions that were ended")
        begun = time.monotonic()
        wait_until(lambda: self.rows_a_second(0.5) >= 0.95 * baseline, 10, "95% of what it was")
        after_cuts = time.monotonic() - begun
        SERVER.restart(signal.SIGQUIT)
        begun = time.monotonic()
        wait_until(lambda: self.rows_a_second(0.5) >= 0.95 * baseline, 10, "95% after a restart")
        print(f"{baseline:.0f} rows/s (of {rate}); {ended} sessions ended; back to 95% after "
              f"{after_cuts:.1f} s, after a crash of the server {time.monotonic() - begun:.1f} s",
              file=sys.stderr, flush=True)
        running.signal(signal.SIGTERM)
        self.assert_exit(running.wait(30), 0)
        report = self.checked_report(self.folder / "report.json")
        self.assert_numbers_exactly_once(report["delivered"])

    def test_row_06_a_silent_server_holds_up_no_stop_and_loses_nothing(self):
        self.write_numbers(100_000, batch=200, stop_timeout="2s")
        running = self.start("run", "pipeline.yaml")
        wait_until(lambda: self.number("select count(*) from numbers") > 1000, 30, "rows")
        SERVER.freeze()
        try:
            time.sleep(0.5)  # what is under way comes to rest
            running.signal(signal.SIGTERM)
            result = running.wait(2 + 4)
        finally:
            SERVER.thaw()
        self.assertNotEqual(result.exit, 0, result.err)
        self.assert_exit(self.brigade("run", "pipeline.yaml"), 0)
        self.assert_numbers_exactly_once(100_000)

    def test_a_second_program_is_refused_while_the_first_writes(self):
        self.write_pipeline(
            name="orders", source={"generate": {"json": '{"n": {n}}', "every": "10ms"}},
            sink={**self.sink(), "batch": {"count": 10}})
        running = self.start("run", "pipeline.yaml")
        wait_until(lambda: self.number("select count(*) from numbers") > 0, 30, "rows")
        sink = self.sink()
        sink["postgres"]["connection"] += " connect_timeout=1"
        self.write_pipeline("other.yaml", name="orders", state="elsewhere",
                            source={"generate": {"json": '{"n": {n}}', "every": "10ms"}},
                            sink=sink)
        refused = self.brigade("run", "other.yaml")
        self.assert_exit(refused, 1)
        self.assertIn("another program writes there as this pipeline", refused.err)
        running.signal(signal.SIGTERM)
        self.assert_exit(running.wait(30), 0)

    def test_a_password_is_shown_nowhere(self):
        SERVER.ask("create role keeper login superuser password 's3cret'")
        sink = self.sink()
        sink["postgres"]["connection"] = (f"postgresql://keeper:s3cret@127.0.0.1:{SERVER.port}/"
                                          f"{self.database}")
        self.write_numbers(10, sink=sink)
        shown = [self.brigade("check", "pipeline.yaml")]
        shown.append(self.run_pipeline(expect=0)[0])
        for word in ("s3cret@no.such.host.invalid", "s3cret@[broken"):
            sink["postgres"]["connection"] = f"postgresql://keeper:{word}/x"
            self.write_numbers(10, sink=sink)
            shown += [self.brigade("run", "pipeline.yaml"), self.brigade("check", "pipeline.yaml")]
        (self.folder / "pipeline.yaml").unlink()
        for result in shown:
            self.assertNotIn("s3cret", result.out + result.err)
        for path in self.folder.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"s3cret", path.read_bytes(), path)

    def test_rows_by_insert_replace_those_of_their_key(self):
        self.write("numbers.ndjson", "".join(
            f'{{"n": {n % 1000 + 1}, "round": {n // 1000}}}\n' for n in range(3000)))
        self.write_pipeline(
            name="orders", source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
            sink={**self.sink(method="insert", key="n"), "batch": {"count": 1500}})
        self.run_pipeline(expect=0)
        self.assert_numbers_exactly_once(1000)
        self.assertEqual(self.number("select min(round) from numbers"), 2)


if __name__ == "__main__":
    brigade_e2e.main()
