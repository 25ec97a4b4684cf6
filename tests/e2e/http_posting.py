"""What tests of the source `http` share: an order desk that is posted to."""
import contextlib
import http.client
import json
import signal
import socket
import threading

import brigade_e2e
from brigade_e2e import query, wait_until

JSON = {"Content-Type": "application/json"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def sending(chance, send):
    """Eight threads that `send(numbers, thread)` the next numbers, one or five, until the end."""
    numbers, turn, over = iter(range(1, 1_000_000)), threading.Lock(), threading.Event()

    def send_all(thread):
        while not over.is_set():
            with turn:
                batch = [next(numbers) for _ in range(chance.choice((1, 1, 5)))]
            send(batch, thread)
    threads = [threading.Thread(target=send_all, args=(n,)) for n in range(8)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join()


class PostingTest(brigade_e2e.BrigadeTest):
    stages = []

    def setUp(self):
        super().setUp()
        self.port = free_port()

    def pipeline(self, source=None, **keys):
        listen = {"listen": f"127.0.0.1:{self.port}", "path": "/orders", **(source or {})}
        sink = {"sqlite": {"file": "out.db", "table": "orders", "dedupe": True}}
        self.write_pipeline(**{"name": "orders", "source": {"http": listen}, "stages": self.stages,
                               "sink": sink, **keys})

    def serve(self):
        running = self.start("run", "pipeline.yaml", "--report", self.folder / "report.json")
        wait_until(lambda: is_open(self.port) or not running.is_running(), 20, "an open port")
        return running

    def stop(self, running, *codes):
        running.signal(signal.SIGTERM)
        result = running.wait(30)
        self.assertIn(result.exit, codes, result.err)
        return self.checked_report(self.folder / "report.json", result)

    def post(self, body, path="/orders", within=60, connection=None, **headers):
        """(status, what is said, headers) of one request."""
        text = body if isinstance(body, (bytes, str)) else json.dumps(body)
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=within)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            own.request("POST", path, text, {**JSON, **named})
            answer = own.getresponse()
            return answer.status, json.loads(answer.read()), answer.headers
        finally:
            if connection is None:
                own.close()

    def in_table(self):
        made = query(self.folder / "out.db", "select 1 from sqlite_schema where name = 'orders'")
        rows = query(self.folder / "out.db", "select n from orders") if made else ()
        return {n for n, in rows}
