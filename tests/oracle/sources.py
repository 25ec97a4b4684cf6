"""Where the numbered items of a pair come from: how they are put in, and which are acknowledged.

A new source is a class, and its name in SOURCES. What an end may have done to it, it says itself:
`WIRE`, a network in between, `RESTARTS`, a server, `DISK`, a folder with its files.
"""
import collections
import http.client
import json
import select
import signal
import socket
import sqlite3
import struct
import threading
import time

from life import brigade_e2e  # noqa: F401 (the path of the e2e tests)
from fault_proxy import FaultProxy
from postgres_server import Postgres
from servers import free_port

COUNT = 240
POISON = 13  # nobody takes this one


def item(n):
    return {"n": n, "text": f"{n} " + "x" * 1000}


def lines(numbers):
    return "".join(json.dumps(item(n)) + "\n" for n in numbers)


class Shared:
    """One PostgreSQL server for all pairs, begun when it is first asked for."""
    server = None

    @classmethod
    def postgres(cls):
        cls.server = cls.server or Postgres("fsync=off")
        return cls.server

    @classmethod
    def remove(cls):
        if cls.server is not None:
            cls.server.remove()


class End:
    WIRE = RESTARTS = CLOSES = False
    DISK = wire = None

    def __init__(self, test):
        self.test = test

    def prepare(self):
        """Before the first run."""

    def through(self, port):
        """The port of a connection that goes wrong on command."""
        self.wire = FaultProxy(port)
        self.test.addCleanup(self.wire.close)
        return self.wire.port


class AtPostgres(End):
    """A schema of the test's own, behind a connection of this end's."""
    WIRE = RESTARTS = True

    def prepare(self):
        self.server = Shared.postgres()
        self.schema = "pair_" + self.test.id().rsplit(".", 2)[1].lower()
        self.port = self.through(self.server.port)
        self.ask(f"create schema if not exists {self.schema}")
        self.test.addCleanup(self.ask, f"drop schema if exists {self.schema} cascade")

    def connection(self):
        return self.server.conninfo().replace(f"port={self.server.port}", f"port={self.port}")

    def ask(self, sql):
        """Until it is answered: what can be done twice."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            answer = self.server.ask(sql)
            if answer is not None and not (answer and isinstance(answer[0], str)):
                return answer
            time.sleep(0.01)
        raise AssertionError(f"no answer to {sql}: {answer}")

    def stop_server(self):
        if self.server.process.poll() is None:  # it may be that of the other end as well
            self.server.stop(signal.SIGQUIT)

    def start_server(self):
        if self.server.process.poll() is not None:
            self.server.start()


# --- sources --------------------------------------------------------------------------------------

class Source(End):
    """`AGAIN`: what was not finished comes again, from the source itself; `DEDUPE`: from outside,
    under the same key. `ENDS`: by itself."""
    AGAIN = True
    ENDS = DEDUPE = False

    def __init__(self, test):
        super().__init__(test)
        self.fed = 0

    def fields(self):
        raise NotImplementedError

    def feed(self, count):
        """So many more numbers: from here on these are obligations."""
        first, self.fed = self.fed + 1, self.fed + count
        if count:
            self.put(range(first, self.fed + 1))

    def put(self, numbers):
        raise NotImplementedError

    def options(self, run):
        """How the program is started for this run, the first being 0."""
        return {}

    def obligations(self, runs):
        """What must be finished when so many runs are over."""
        return set(range(1, self.fed + 1))

    def given(self, runs):
        """What may be there, and how often it was sent."""
        return {n: 1 for n in range(1, self.fed + 1)}

    def close(self):
        """Nothing is put in any more."""

    def check(self):
        """What it says itself of how it ended."""


class File(Source):
    ENDS = True

    def fields(self):
        return {"file": {"path": "in/in.ndjson", "format": "ndjson"}}

    def feed(self, count):
        if not self.fed:  # it is read to its end, so that is where it begins
            super().feed(COUNT)

    def put(self, numbers):
        with open(self.test.folder / "in/in.ndjson", "a", encoding="ascii") as file:
            file.write(lines(numbers))


class Tail(File):
    ENDS = False

    def fields(self):
        return {"file": {"path": "in/in.ndjson", "format": "ndjson", "mode": "tail"}}

    def feed(self, count):
        Source.feed(self, count)


class Generate(File):
    def fields(self):
        text = json.dumps(item(0)).replace("0", "{n}")
        return {"generate": {"json": text, "count": COUNT}}

    def put(self, numbers):
        pass


class Stdin(Source):
    """Each run has an input of its own, since nothing of the one before can be had again."""
    AGAIN, ENDS = False, True

    def fields(self):
        return {"stdin": {"format": "ndjson"}}

    def feed(self, count):
        pass

    def numbers(self, run):
        return range(1 + run * COUNT, 1 + (run + 1) * COUNT)

    def options(self, run):
        path = self.test.write(f"in/in.{run}", lines(self.numbers(run)))
        return {"stdin": path.open("rb")}

    def obligations(self, runs):
        return set(self.numbers(runs - 1))

    def given(self, runs):
        return {n: 1 for run in range(runs) for n in self.numbers(run)}


class PostgresTable(AtPostgres, Source):
    BY = None

    def prepare(self):
        super().prepare()
        self.ask(f"create table {self.schema}.items(n bigint primary key, text text)")

    def fields(self):
        return {"postgres": {"connection": self.connection(), "table": f"{self.schema}.items",
                             "mode": "tail", "poll": "20ms", **self.BY}}

    def put(self, numbers):
        rows = ", ".join(f"({n}, '{item(n)['text']}')" for n in numbers)
        self.ask(f"insert into {self.schema}.items values {rows} on conflict do nothing")


class PostgresCursor(PostgresTable):
    BY = {"by": "cursor", "lag": "1ms", "id": "n"}  # its ids are not drawn by the server


class PostgresClaim(PostgresTable):
    BY = {"by": "claim", "lease": "2s"}

    def check(self):
        rows = self.ask(f"select coalesce(outcome, 'none'), count(*) from {self.schema}"
                        "._brigade_claims group by 1")
        self.test.check_claims({outcome: int(count) for outcome, count in rows})


class SqliteTable(Source):
    BY = None

    def base(self):
        return sqlite3.connect(self.test.folder / "in/in.db", timeout=10, isolation_level=None)

    def prepare(self):
        base = self.base()
        base.execute("create table items(n integer primary key, text text)")
        base.close()

    def fields(self):
        return {"sqlite": {"file": "in/in.db", "table": "items", "mode": "tail", "poll": "20ms",
                           **self.BY}}

    def put(self, numbers):
        base = self.base()
        base.execute("begin immediate")
        base.executemany("insert into items values (?, ?)",
                         [(n, item(n)["text"]) for n in numbers])
        base.execute("commit")
        base.close()


class SqliteCursor(SqliteTable):
    BY = {"by": "cursor"}


class SqliteClaim(SqliteTable):
    BY, DISK = {"by": "claim", "lease": "2s"}, "in"

    def check(self):
        base = self.base()
        rows = base.execute("select coalesce(outcome, 'none'), count(*) from _brigade_claims"
                            " group by 1").fetchall()
        base.close()
        self.test.check_claims(dict(rows))


class Produced(Source):
    """Somebody sends, on threads of his own, until each number is acknowledged."""
    THREADS = 1

    def __init__(self, test):
        super().__init__(test)
        self.wanted, self.copies = collections.deque(), collections.Counter()
        self.over, self.senders = threading.Event(), []

    def prepare(self):
        self.test.addCleanup(self.close)
        for _ in range(self.THREADS):
            self.senders.append(threading.Thread(target=self.send_all, daemon=True))
            self.senders[-1].start()

    def put(self, numbers):
        self.wanted.extend(numbers)

    def close(self):
        self.over.set()
        for each in self.senders:
            each.join()

    def send_all(self):
        raise NotImplementedError


class Http(Produced):
    """Clients that post an item, and again under its key until they have an answer that counts."""
    WIRE, DEDUPE, THREADS = True, True, 4
    FINAL = (200, 422)
    MORE = {}

    def __init__(self, test):
        super().__init__(test)
        self.answers, self.port = {}, free_port()

    def prepare(self):
        self.behind = self.through(self.port)
        super().prepare()

    def fields(self):
        return {"http": {"listen": f"127.0.0.1:{self.port}", **self.MORE}}

    def send_all(self):
        client = None
        while not self.over.is_set():
            try:
                n = self.wanted.popleft()
            except IndexError:
                time.sleep(0.002)
                continue
            try:
                client = client or http.client.HTTPConnection("127.0.0.1", self.behind, timeout=1)
                client.request("POST", "/", json.dumps(item(n)), {
                    "Content-Type": "application/json", "Idempotency-Key": f"item-{n}"})
                answer = client.getresponse()
                answer.read()
                self.answers[n] = answer.status
            except (OSError, http.client.HTTPException):
                client.close()
                client = None
            if self.answers.get(n) not in self.FINAL:
                self.wanted.append(n)
                time.sleep(0.01)
        if client:
            client.close()

    def check(self):
        wrong = {n: status for n, status in self.answers.items() if not self.is_true(n, status)}
        self.test.assertEqual(wrong, {}, "answers that are not what became of the item")

    def is_true(self, n, status):
        return status == (422 if n == POISON else 200)


class HttpAccepted(Http):
    """They are answered when the item is in a journal, which knows it by its key."""
    DEDUPE, DISK = False, "in"
    FINAL = (202, *Http.FINAL)
    MORE = {"reply": "accepted", "journal": "in/journal.db"}

    def is_true(self, n, status):
        return status == 202 or super().is_true(n, status)


class Socket(Produced):
    """A sender that is not answered: it looks at the program's files for what has arrived, and
    sends the rest again. What is in the journal is acknowledged."""
    DISK = "in"
    JOURNAL = {"journal": "in/journal.db"}
    PATIENCE = 0.5
    LISTEN = None

    def fields(self):
        return {"socket": {"listen": self.listen(), "format": "ndjson", **self.JOURNAL,
                           **self.framing()}}

    def framing(self):
        return {}

    def arrived(self):
        payloads = self.test.glimpse_rows(self.test.folder / "in/journal.db",
                                          "select payload from items") if self.JOURNAL else []
        # Before each frame is how it was framed.
        return {json.loads(payload[1:])["n"] for payload, in payloads} | self.test.settled()

    def send_all(self):
        while not self.over.is_set():
            missing = set(self.wanted) - self.arrived() if self.wanted else ()
            if not missing:
                time.sleep(0.01)
                continue
            try:
                with self.connect() as to:
                    self.send(to, sorted(missing))
            except OSError:
                time.sleep(0.01)

    def send(self, to, numbers):
        for first in range(0, len(numbers), 20):
            some = numbers[first:first + 20]
            for n in some:
                self.copies[n] += 1
                to.sendall(self.frame(json.dumps(item(n)).encode()))
            deadline = time.monotonic() + self.PATIENCE
            while not self.arrived().issuperset(some):
                if self.over.is_set() or time.monotonic() > deadline or self.is_closed(to):
                    return
                time.sleep(0.005)

    def frame(self, data):
        return struct.pack(">I", len(data)) + data

    def is_closed(self, to):
        return bool(select.select([to], [], [], 0)[0])  # nobody answers, so that is its end

    def given(self, runs):
        return dict(self.copies)


class TcpSocket(Socket):
    WIRE = True

    def prepare(self):
        self.port = free_port()
        self.behind = self.through(self.port)
        super().prepare()

    def listen(self):
        return f"tcp://127.0.0.1:{self.port}"

    def framing(self):
        return {"framing": "length"}

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.behind), timeout=1)


class BareSocket(TcpSocket):
    """Without a journal. Its sender knows from the ledger alone what has arrived."""
    JOURNAL, DISK, AGAIN = {}, None, False


class UnixSocket(Socket):
    def listen(self):
        return "unix://in.sock"

    def framing(self):
        return {"framing": "length"}

    def connect(self):
        to = socket.socket(socket.AF_UNIX)
        try:
            to.settimeout(1)
            to.connect(str(self.test.folder / "in.sock"))
        except OSError:
            to.close()
            raise
        return to


class UdpSocket(Socket):
    def prepare(self):
        self.port = free_port()
        super().prepare()

    def listen(self):
        return f"udp://127.0.0.1:{self.port}"

    def connect(self):
        to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        to.connect(("127.0.0.1", self.port))
        return to

    def frame(self, data):
        return data

    def is_closed(self, to):
        return False


SOURCES = (File, Tail, Generate, Stdin, Http, HttpAccepted, PostgresClaim, PostgresCursor,
           SqliteClaim, SqliteCursor, TcpSocket, UnixSocket, UdpSocket, BareSocket)
