"""The source `http` among clients that are slow, silent, lying or mad: it serves the others.

Whatever they send, an honest client beside them is answered 200 within seconds, the memory stays
bounded, and nothing is taken that was not a whole request. BRIGADE_E2E_CONNECTIONS: how many slow
ones at once (1000).
"""
import http.client
import json
import os
import random
import resource
import signal
import socket
import time
from pathlib import Path

import brigade_e2e
from brigade_e2e import seeded, wait_until

CONNECTIONS = int(os.environ.get("BRIGADE_E2E_CONNECTIONS", "1000"))
MEMORY_MAX = 256 << 20
HEAD = b"POST /orders HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
ONE = b'{"n": 1}'


def sized(body, *headers):
    return HEAD + b"Content-Length: %d\r\n" % len(body) + b"".join(headers) + b"\r\n" + body


class HttpHostileTest(brigade_e2e.BrigadeTest):
    def serve(self, **source):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        listen = {"listen": f"127.0.0.1:{self.port}", "path": "/orders", **source}
        self.write_pipeline(name="orders", source={"http": listen},
                            sink={"sqlite": {"file": "out.db", "table": "orders"}})
        self.honest = 0
        running = self.start("run", "pipeline.yaml", "--report", self.folder / "report.json")

        def is_open():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        wait_until(lambda: is_open() or not running.is_running(), 20, "an open port")
        return running

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def assert_others_are_served(self, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        began = time.monotonic()
        for _ in range(3):
            connection.request("POST", "/orders", json.dumps({"honest": self.honest}),
                               {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            self.assertEqual((answer.status, json.loads(answer.read())["outcome"]),
                             (200, "delivered"))
            self.honest += 1
        connection.close()
        self.assertLess(time.monotonic() - began, 10 * brigade_e2e.PATIENCE)

    def memory(self, running):
        lines = Path(f"/proc/{running.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) << 10

    def stop(self, running, taken):
        peak = self.memory(running)
        running.signal(signal.SIGTERM)
        result = running.wait(30)
        self.assert_exit(result, 0)
        report = self.checked_report(self.folder / "report.json", result)
        self.assertEqual(report["taken"], taken)
        self.assertLess(peak, MEMORY_MAX * brigade_e2e.PATIENCE)

    def say(self, *parts):
        """All that is answered to these bytes until the server hangs up, or the first answers."""
        with self.connect() as there:
            for part in parts:
                try:
                    there.sendall(part)
                except (BrokenPipeError, ConnectionResetError):
                    break
            there.shutdown(socket.SHUT_WR)
            said = b""
            while True:
                try:
                    more = there.recv(1 << 16)
                except ConnectionResetError:
                    return said
                if not more:
                    return said
                said += more

    def statuses(self, *parts):
        return [int(line[9:12]) for line in self.say(*parts).split(b"\n")
                if line.startswith(b"HTTP/1.1 ")]

    def test_a_thousand_slow_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * CONNECTIONS + 500), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        running = self.serve(max_connections=CONNECTIONS // 2, request_timeout="20s")
        slow = []
        for number in range(CONNECTIONS):
            each = self.connect()
            each.sendall(HEAD[:20 + number % 20])  # in the middle of a header
            slow.append(each)
            if number % 250 == 249:
                self.assert_others_are_served()
        for _ in range(3):
            for each in slow:
                try:
                    each.send(b"a")
                except OSError:
                    pass  # it had to make room
            self.assert_others_are_served()
        for each in slow:
            each.close()
        self.stop(running, self.honest)

    def test_the_slow_are_sent_away_in_time(self):
        running = self.serve(request_timeout="500ms", idle_timeout="500ms")
        half = sized(ONE)
        slow = [self.connect() for _ in range(4)]
        for each, part in zip(slow, (b"", b"P", half[:-20], half[:-1])):
            each.sendall(part)
        ends = [each.recv(4096)[:12] for each in slow]
        self.assertEqual(ends, [b"", *[b"HTTP/1.1 408"] * 3])
        for each in slow:
            each.close()
        self.assert_others_are_served()
        self.stop(running, self.honest)

    def test_one_who_never_reads_his_answers(self):
        running = self.serve(request_timeout="1s")
        deaf = self.connect()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0.2)
        sent = 0
        batch = sized(b"[" + b",".join([ONE] * 1000) + b"]")
        try:
            while sent < 2000:
                deaf.sendall(batch)
                sent += 1
        except OSError:
            pass  # nobody reads on while the answer is not taken
        self.assertLess(sent, 2000)
        self.assert_others_are_served()
        deaf.settimeout(20)

        def is_gone():
            try:
                deaf.sendall(b"x")
            except OSError:
                return True
            return False
        wait_until(is_gone, 20, "the deaf one to be sent away")
        deaf.close()
        self.assert_others_are_served()
        self.assertLess(self.memory(running), MEMORY_MAX * brigade_e2e.PATIENCE)
        running.signal(signal.SIGTERM)
        self.assert_exit(running.wait(30), 0)

    def test_shapes_that_smuggle(self):
        running = self.serve()
        inner = sized(b'{"smuggled": true}')
        chunks = b"8\r\n" + ONE + b"\r\n0\r\n\r\n"
        shapes = (
            HEAD + b"Content-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
            HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 8\r\n\r\n" + chunks,
            HEAD + b"Content-Length: 0\r\nContent-Length: 8\r\n\r\n" + ONE,
            HEAD + b"Content-Length: 8, 8\r\n\r\n" + ONE,
            HEAD + b"Content-Length: 8\r\nContent-Length: 8\r\n\r\n" + ONE,
            HEAD + b"Content-Length: +8\r\n\r\n" + ONE,
            HEAD + b"Content-Length: 8 8\r\n\r\n" + ONE,
            HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + chunks,
            HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks,
            HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + chunks,
            HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + chunks,
            HEAD + b"Transfer-Encoding\x0b: chunked\r\n\r\n" + chunks,
            HEAD + b"X: a\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
            HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n" + chunks,
            HEAD + b"Content-Length: 8\r\nHost: other\r\n\r\n" + ONE,
            HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
        )
        for shape in shapes:
            self.assertEqual(self.statuses(shape + inner), [400], shape)
        self.assert_others_are_served()
        self.stop(running, self.honest)

    def test_bad_chunks_wrong_lengths_and_what_is_no_text(self):
        running = self.serve(max_headers="4KiB", max_body="64KiB")
        chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        for body in (b"x\r\n5\r\n0\r\n\r\n", b"-1\r\n5\r\n\r\n", b"1\r\n55\r\n0\r\n\r\n",
                     b"ffffffffffffffffff\r\n", b"1;" + b"a" * 10_000,
                     b"0\r\nX: " + b"a" * 10_000):
            self.assertEqual(self.statuses(chunked + body), [400], body[:40])
        self.assertEqual(self.statuses(chunked + b"fffffff\r\n"), [413])
        # Shorter than it says: the client goes, and nothing of it is taken.
        self.assertEqual(self.statuses(sized(ONE)[:-1]), [])
        # Longer: what is left is no request.
        self.assertEqual(self.statuses(sized(ONE) + b"}}}}\r\n\r\n"), [200, 400])
        for text in (b'{"n": "caf\xe9"}', b"\xff\xfe{}", b'{"n": "\\ud800"}', b'{"n": "\x00"}',
                     b"[" * 50_000):
            self.assertEqual(self.statuses(sized(text, b"Connection: close\r\n")), [400], text[:40])
        self.assertEqual(self.statuses(sized(ONE, b"X: " + b"a" * 5000 + b"\r\n")), [431])
        self.assertEqual(self.statuses(HEAD + b"".join(b"X%d: a\r\n" % n for n in range(5000))),
                         [431])
        self.assertEqual(self.statuses(b"GET /" + b"a" * 100_000), [431])
        self.assert_others_are_served()
        self.stop(running, self.honest + 1)

    def test_garbage_behind_good_requests(self):
        running = self.serve()
        chance = seeded("garbage")
        taken = 0
        for _ in range(30):
            good = chance.randrange(0, 4)
            garbage = b"\x00" + random.Random(chance.random()).randbytes(chance.randrange(1, 9000))
            self.assertEqual(self.statuses(sized(ONE) * good + garbage + b"\r\n\r\n"),
                             [200] * good + [400])
            taken += good
        self.assert_others_are_served()
        self.stop(running, taken + self.honest)

    def test_bodies_that_never_end_take_no_memory(self):
        running = self.serve(max_body="8MiB", request_timeout="20s")
        flood = [self.connect() for _ in range(100)]
        for each in flood:
            each.settimeout(0.2)
            try:
                each.sendall(HEAD + b"Content-Length: 8000000\r\n\r\n" + b" " * 4_000_000)
            except OSError:
                pass  # it was told that there are too many
        self.assert_others_are_served()
        self.assertLess(self.memory(running), MEMORY_MAX * brigade_e2e.PATIENCE)
        for each in flood:
            each.close()
        self.stop(running, self.honest)

    def test_nobody_without_the_token_is_served(self):
        running = self.serve(token="right-token")
        for header in (b"", b"Authorization: Bearer wrong\r\n", b"Authorization: Bearer \r\n",
                       b"Authorization: Bearer right-toke\r\n", b"Authorization: right-token\r\n",
                       b"Authorization: Bearer right-token\r\nAuthorization: Bearer wrong\r\n"):
            self.assertEqual(self.statuses(sized(ONE, header) * 2), [401], header)
        self.assert_others_are_served(Authorization="Bearer right-token")
        self.assertNotIn("right-token", running.err())
        self.stop(running, self.honest)


if __name__ == "__main__":
    brigade_e2e.main()
