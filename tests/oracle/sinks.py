"""Where the items of a pair go: what is to be read there. A new sink is a class, and its name in
SINKS. What an end may have done to it, it says itself; see sources.py.
"""
import json
import threading

import servers
from brigade_e2e import query
from sources import POISON, AtPostgres, End

# Who has a say refuses the item; for the others a stage does.
REFUSAL = {"name": "refuse", "jq": f'if .n == {POISON} then error("poison") else . end',
           "retry": {"attempts": 1}}


class Sink(End):
    """`ONCE`: no row is twice, whatever happened. `DEDUPES`: if asked to. `REPLACES`: a row of the
    same number. `KEEPS`: there are rows. `REFUSES`: the poison, by itself."""
    ONCE = KEEPS = True
    DEDUPES = REPLACES = REFUSES = False

    def fields(self, dedupe):
        """`dedupe`: what comes again may come from outside, under the same key."""
        raise NotImplementedError

    def rows(self):
        """Each (n, text) that has arrived."""
        raise NotImplementedError


class Sqlite(Sink):
    REFUSES, DEDUPES, DISK = True, True, "out"

    def prepare(self):
        query(self.test.folder / "out/out.db",
              f"create table t (n integer check (n <> {POISON}), text text)")

    def fields(self, dedupe):
        return {"sqlite": {"file": "out/out.db", "table": "t",
                           **({"dedupe": True} if dedupe else {})}}

    def rows(self):
        return query(self.test.folder / "out/out.db", "select n, text from t")


def rows_of(text):
    return [(row["n"], row["text"]) for row in map(json.loads, text.splitlines())]


class File(Sink):
    DISK = "out"

    def fields(self, dedupe):
        return {"file": {"path": "out/out.ndjson"}}

    def rows(self):
        return rows_of((self.test.folder / "out/out.ndjson").read_text())


class Stdout(Sink):
    ONCE = False

    def fields(self, dedupe):
        return {"stdout": {}}

    def rows(self):
        return rows_of("".join(running.out() for running in self.test.started))


class Null(Sink):
    KEEPS = False

    def fields(self, dedupe):
        return {"null": {}}


class Postgres(AtPostgres, Sink):
    """By COPY, exactly once by the marks."""
    REFUSES, DEDUPES, MORE = True, True, {}

    def prepare(self):
        super().prepare()
        self.ask(f"create table if not exists {self.schema}.out"
                 f"(n bigint check (n <> {POISON}), text text)")

    def fields(self, dedupe):
        return {"postgres": {"connection": self.connection(), "table": f"{self.schema}.out",
                             **self.MORE, **({"dedupe": True} if dedupe else {})},
                "timeout": "1s"}

    def rows(self):
        return [(int(n), text) for n, text in self.ask(f"select n, text from {self.schema}.out")]


class PostgresKey(Postgres):
    """By COPY into a temporary table, and a row of the same key replaced."""
    REPLACES, MORE = True, {"key": "n"}

    def prepare(self):
        super().prepare()
        self.ask(f"alter table {self.schema}.out drop constraint if exists by_n, "
                 "add constraint by_n unique (n)")


class AtNginx(End):
    """A real nginx, behind a connection of this end's. It notes what it was sent."""
    WIRE = RESTARTS = CLOSES = True

    def prepare(self):
        folder = self.test.folder / type(self).__name__.lower()
        folder.mkdir()
        self.server = servers.at_end(self.test, servers.Nginx(
            folder, refused=f"/in/{POISON}"))
        self.port = self.through(self.server.port)

    def url(self):
        return f"http://127.0.0.1:{self.port}/in/{{n}}"

    def stop_server(self):
        self.server.stop()

    def start_server(self):
        self.server.start()

    def close_door(self):
        self.server.close_with(403)

    def open_door(self):
        self.server.open_again()

    def rows(self):
        return rows_of("\n".join(one["body"] for one in self.server.noted(200)))


class Http(AtNginx, Sink):
    """An item a request, to an address of its own."""
    ONCE, REFUSES = False, True

    def fields(self, dedupe):
        return {"http": {"url": self.url(), "response_timeout": "500ms", "in_flight": 8}}


class HttpBatch(Sink):
    """Batches to a peer that keeps account and says of each item what it thinks of it."""
    ONCE, REFUSES, WIRE, CLOSES = False, True, True, True

    def prepare(self):
        self.taken, self.turn, self.closed = [], threading.Lock(), threading.Event()
        self.server = servers.at_end(self.test, servers.Played(self.serve))
        self.port = self.through(self.server.port)

    def serve(self, connection, _):
        for _, body in servers.http_requests(connection):
            if self.closed.is_set():
                servers.http_answer(connection, 403)
                continue
            said = [{"status": 422 if n == POISON else 200} for n, _ in self.note(body)]
            servers.http_answer(connection, 207, json.dumps(said))

    def note(self, body):
        rows = rows_of(body.decode())
        with self.turn:
            self.taken += [row for row in rows if row[0] != POISON]
        return rows

    def fields(self, dedupe):
        return {"http": {"url": f"http://127.0.0.1:{self.port}/in", "format": "ndjson",
                         "response_timeout": "500ms"}}

    def close_door(self):
        self.closed.set()

    def open_door(self):
        self.closed.clear()

    def rows(self):
        with self.turn:
            return list(self.taken)


class HttpStage(AtNginx):
    """No sink: in between, asked about each item."""

    def fields(self):
        return {"name": "ask", "workers": 8, "retry": {"attempts": 1000, "backoff": "10ms..500ms"},
                "http": {"url": self.url(), "response": "ignore", "response_timeout": "500ms"}}


SINKS = (Sqlite, File, Stdout, Null, Postgres, PostgresKey, Http, HttpBatch)
