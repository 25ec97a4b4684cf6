"""The source `socket` and foreign clients: socat, logger, rsyslogd, and some that behave badly.

BRIGADE_E2E_UDP_SECONDS [3]: how long 50,000 datagrams a second are sent; once it was a minute.
"""
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import threading
import time

import brigade_e2e
from brigade_e2e import glimpse, query, seeded, wait_until

UDP_SECONDS = float(os.environ.get("BRIGADE_E2E_UDP_SECONDS", "3"))
PER_SECOND = 50_000


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tool(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    assert path, f"'{name}' is not installed: scripts/setup test installs it"
    return path


def enough_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))


class SocketTest(brigade_e2e.BrigadeTest):
    def listen(self, at, within=10, **fields):
        """A pipeline that listens, and its port (none of a Unix socket)."""
        self.write_pipeline(name="heard", source={"socket": {"listen": at, **fields}},
                            sink={"sqlite": {"file": "out.db", "table": "items"}})
        return self.start_again(within)

    def start_again(self, within=10):
        running = self.start("run", "pipeline.yaml", "--report", "report.json",
                             preexec_fn=enough_descriptors)
        running.wait_for_words("listens on", within, "the source to listen")
        found = re.search(r"listens on \w+://127\.0\.0\.1:(\d+)", running.err())
        return running, int(found[1]) if found else None

    def count(self):
        return glimpse(self.folder / "out.db", "select count(*) from items")

    def wait_for_rows(self, count, within=20):
        wait_until(lambda: self.count() >= count, within, f"{count} rows in the database")

    def stop(self, running, expect=0):
        running.signal(signal.SIGTERM)
        result = running.wait(30)
        self.assert_exit(result, expect)
        return result, self.checked_report(self.folder / "report.json", result)

    def column(self, name):
        return [row[0] for row in query(self.folder / "out.db",
                                        f'select "{name}" from items order by rowid')]

    def socat(self, to, data):
        subprocess.run([tool("socat"), "-u", "-", to], input=data, check=True, timeout=20)

    # --- framings, each with a foreign client ---

    def test_lines_over_tcp_from_socat(self):
        running, port = self.listen("tcp://127.0.0.1:0")
        self.socat(f"TCP:127.0.0.1:{port}", b"one\ntwo\r\n\nhalf a line")
        self.wait_for_rows(4)
        self.stop(running)
        self.assertEqual(self.column("line"), ["one", "two", "", "half a line"])

    def test_json_over_a_unix_socket_from_socat(self):
        running, _ = self.listen("unix://in.sock", format="ndjson", permissions="0660")
        self.assertEqual((self.folder / "in.sock").stat().st_mode & 0o777, 0o660)
        self.socat(f"UNIX-CONNECT:{self.folder}/in.sock", b'{"n": 1}\n\n{"n": 2}\nnonsense\n')
        self.wait_for_rows(2)
        result, report = self.stop(running, expect=3)
        self.assertEqual(report["dead_lettered"], 1)
        self.assertEqual(self.column("n"), [1, 2])
        self.assertFalse((self.folder / "in.sock").exists())

    def test_datagrams_over_udp_and_a_unix_socket_from_socat(self):
        for at in ("udp://127.0.0.1:0", "unixgram://in.sock"):
            (self.folder / "out.db").unlink(missing_ok=True)
            shutil.rmtree(self.folder / "state", ignore_errors=True)
            running, port = self.listen(at)
            to = f"UDP:127.0.0.1:{port}" if port else f"UNIX-SENDTO:{self.folder}/in.sock"
            self.socat(to, b"one")
            self.socat(to, b"two\n")
            self.wait_for_rows(2)
            self.stop(running)
            self.assertEqual(self.column("line"), ["one", "two"])

    def test_binary_messages_with_their_length_before_them_from_socat(self):
        running, port = self.listen("tcp://127.0.0.1:0", framing="length", format="bytes")
        messages = [b"\x00\xff\n", b"", b"plain"]
        data = b"".join(struct.pack(">I", len(each)) + each for each in messages)
        self.socat(f"TCP:127.0.0.1:{port}", data + struct.pack(">I", 100) + b"unfinished")
        self.wait_for_rows(3)
        result, _ = self.stop(running)
        self.assertEqual(self.column("bytes"), ["AP8K", "", "cGxhaW4="])
        self.assertIn("14 bytes of a message that is not all here are lost", result.err)

    # --- syslog ---

    def test_syslog_from_logger_in_every_way_it_knows(self):
        logger = [tool("logger"), "--id=77", "-t", "till", "-p", "local0.warn"]
        ways = {"tcp://127.0.0.1:0": [["-T", "--rfc5424"], ["-T", "--rfc3164"],
                                      ["-T", "--rfc5424", "--octet-count"]],
                "udp://127.0.0.1:0": [["-d", "--rfc5424"], ["-d", "--rfc3164"]]}
        for at, options in ways.items():
            (self.folder / "out.db").unlink(missing_ok=True)
            shutil.rmtree(self.folder / "state", ignore_errors=True)
            running, port = self.listen(at, format="syslog")
            for number, each in enumerate(options):
                subprocess.run([*logger, *each, "-n", "127.0.0.1", "-P", str(port),
                                f"order {number} is late"], check=True, timeout=20)
            self.wait_for_rows(len(options))
            self.stop(running)
            rows = query(self.folder / "out.db",
                         "select facility, severity, appname, procid, message from items")
            self.assertEqual(sorted(rows), [(16, 4, "till", "77", f"order {number} is late")
                                            for number in range(len(options))])

    def test_syslog_from_rsyslogd_in_both_framings(self):
        lines = 300
        for framing in ("traditional", "octet-counted"):
            (self.folder / "out.db").unlink(missing_ok=True)
            shutil.rmtree(self.folder / "state", ignore_errors=True)
            running, port = self.listen("tcp://127.0.0.1:0", format="syslog", journal="in.db",
                                        framing="length" if framing[0] == "o" else "line")
            inlet = self.folder / "log.sock"
            inlet.unlink(missing_ok=True)
            conf = self.write("rsyslog.conf", f'''
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{inlet}" RateLimit.Interval="0" UseSpecialParser="off")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp"
       TCP_Framing="{framing}" template="RSYSLOG_SyslogProtocol23Format")
''')
            daemon = subprocess.Popen([tool("rsyslogd"), "-n", "-f", conf, "-i",
                                       self.folder / "rsyslog.pid"], cwd=self.folder)
            try:
                wait_until(inlet.exists, 10, "rsyslogd to listen")
                text = "".join(f"line {number}\n" for number in range(lines))
                subprocess.run([tool("logger"), "-u", inlet, "-t", "till"], input=text.encode(),
                               check=True, timeout=20)
                self.wait_for_rows(lines)
            finally:
                daemon.terminate()
                daemon.wait(20)
            self.stop(running)
            stored = sorted(int(text.split()[-1]) for text in self.column("message"))
            self.assertEqual(stored, list(range(lines)))

    # --- clients that behave badly ---

    def test_a_thousand_clients_among_them_bad_ones(self):
        running, port = self.listen("tcp://127.0.0.1:0", max_connections=1200)
        enough_descriptors()
        address = ("127.0.0.1", port)
        silent = [socket.create_connection(address) for _ in range(20)]
        silent[0].sendall(b"half of ")
        slow = socket.create_connection(address)
        reset = socket.create_connection(address)
        reset.sendall(b"before the reset\n")
        clients = [socket.create_connection(address) for _ in range(1000)]
        for number, client in enumerate(clients):
            client.sendall(f"client {number}\n".encode())
            if number % 10 == 0:
                slow.sendall(b"z")
        self.wait_for_rows(1001)
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.close()
        slow.sendall(b" is slow\n")
        silent[0].sendall(b"a line\n")
        for client in clients:
            client.close()
        self.wait_for_rows(1003)
        for client in (*silent, slow):
            client.close()
        self.stop(running)
        expected = {f"client {number}" for number in range(1000)}
        expected |= {"before the reset", "z" * 100 + " is slow", "half of a line"}
        self.assert_rows_exactly_once(self.folder / "out.db", "items", expected, "line")

    def test_garbage_and_endless_lines_disturb_nobody(self):
        running, port = self.listen("tcp://127.0.0.1:0", format="syslog", framing="length",
                                    max_line="1KiB")
        self.socat(f"TCP:127.0.0.1:{port}", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.socat(f"TCP:127.0.0.1:{port}", b"5000000 <1>" + b"x" * 4_999_997 + b"7 <1>good")
        self.wait_for_rows(1)
        result, report = self.stop(running, expect=3)
        self.assertEqual(self.column("message"), ["good"])
        self.assertEqual(report["dead_lettered"], 1)
        self.assertIn("no length before a message: 'GET / HTTP/1.1", result.err)

    # --- the promise ---

    def journaled(self):
        """What is in the journal of a program that was killed, read from a copy of it."""
        copy = self.folder / "copy"
        copy.mkdir(exist_ok=True)
        for name in ("in.db", "in.db-wal"):
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, copy / name)
        with sqlite3.connect(copy / "in.db") as connection:
            rows = connection.execute("select payload from items").fetchall()
        connection.close()
        shutil.rmtree(copy)
        return {int(payload[1:]) for payload, in rows}

    def kill_and_restart(self, kind, send):
        """Numbers are sent on and on while the program is killed: what was in the journal, or
        in the database already, is in the database at the end, once."""
        random = seeded("socket_test")
        port = free_port(socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        over = threading.Event()
        sender = threading.Thread(target=send, args=(port, over))
        expected, kills = set(), 0
        running, _ = self.listen(f"{kind}://127.0.0.1:{port}", journal="in.db")
        sender.start()
        try:
            while kills < 6:
                before = self.count()
                wait_until(lambda: self.count() > before, 20, "something new in the database")
                time.sleep(random.uniform(0, 0.1))
                self.assertTrue(running.kill())
                kills += 1
                rows = {int(value) for value in self.column("line")}
                expected |= self.journaled() | rows
                running, _ = self.start_again()
        finally:
            over.set()
            sender.join()
        # What is sent to the last one is stored as well: it is stopped, not killed.
        result, _ = self.stop(running)
        expected |= self.journaled()
        last, _ = self.start_again()
        self.wait_for_rows(len(expected))
        self.stop(last)
        stored = [int(value) for value in self.column("line")]
        self.assertEqual(len(stored), len(set(stored)), "an item is stored twice")
        self.assertEqual(expected - set(stored), set(), "an item of the journal is lost")

    def test_what_was_in_the_journal_survives_kill_9_over_udp(self):
        def send(port, over):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
                number = 0
                while not over.is_set():
                    for _ in range(20):
                        try:
                            to.sendto(b"%d" % number, ("127.0.0.1", port))
                        except ConnectionRefusedError:
                            pass
                        number += 1
                    time.sleep(0.005)
        self.kill_and_restart("udp", send)

    def test_what_was_in_the_journal_survives_kill_9_over_tcp(self):
        def send(port, over):
            number = 0
            while not over.is_set():
                try:
                    with socket.create_connection(("127.0.0.1", port), timeout=5) as to:
                        while not over.is_set():
                            data = b"".join(b"%d\n" % (number + n) for n in range(20))
                            number += 20
                            to.sendall(data)
                            time.sleep(0.005)
                except OSError:
                    # A line that was sent in part would end in another number.
                    number += 1_000_000
                    time.sleep(0.01)
        self.kill_and_restart("tcp", send)

    def test_of_fifty_thousand_datagrams_a_second_each_is_stored_or_counted_as_dropped(self):
        running, port = self.listen("udp://127.0.0.1:0", journal="in.db", format="ndjson")
        sent, began = 0, time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
            to.connect(("127.0.0.1", port))
            while time.monotonic() - began < UDP_SECONDS:
                due = int((time.monotonic() - began) * PER_SECOND)
                for number in range(sent, due):
                    to.send(b'{"n": %d, "text": "a packet with some measured values in it"}'
                            % number)
                sent = max(sent, due)
                time.sleep(0.001)
        rate = sent / (time.monotonic() - began)
        dropped = self.check_datagrams(running, sent)
        print(f"{sent} datagrams at {rate:.0f} a second, {dropped} dropped", flush=True)

    def test_what_the_kernel_drops_is_counted_to_the_last_one(self):
        running, port = self.listen("udp://127.0.0.1:0", journal="in.db", format="ndjson",
                                    receive_buffer="4KiB")
        sent = 20_000
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
            to.connect(("127.0.0.1", port))
            for number in range(sent):
                to.send(b'{"n": %d}' % number)
        dropped = self.check_datagrams(running, sent)
        self.assertGreater(dropped, 0, "a buffer for a few datagrams held them all")

    def check_datagrams(self, running, sent):
        with open("/proc/net/udp", encoding="ascii") as table:
            proc = [line.split() for line in table][1:]
        self.stop(running)
        found = re.search(r"(\d+) datagrams received, (\d+) dropped by the kernel", running.err())
        received, dropped = int(found[1]), int(found[2])
        self.assertEqual(received + dropped, sent)
        self.assertIn(str(dropped), [line[-1] for line in proc], "the kernel's table says the same")
        # What the run did not get to is in the journal, for the next one.
        if self.count() < received:
            again, _ = self.start_again()
            self.wait_for_rows(received, 120)
            self.stop(again)
        rows, different = query(self.folder / "out.db",
                                "select count(*), count(distinct n) from items")[0]
        self.assertEqual((rows, different), (received, received))
        return dropped

    # --- starting and refusing ---

    def test_the_example_stores_warnings(self):
        port = free_port(socket.SOCK_DGRAM)
        shutil.copy(brigade_e2e.EXAMPLES / "syslog.yaml", self.folder)
        running = self.start("run", "syslog.yaml", env={"PORT": str(port)})
        running.wait_for_words("listens on", 10, "the source to listen")
        for level in ("info", "err"):
            subprocess.run([tool("logger"), "-n", "127.0.0.1", "-P", str(port), "-d", "-p",
                            f"user.{level}", f"this is {level}"], check=True, timeout=20)
        wait_until(lambda: glimpse(self.folder / "syslog.db", "select count(*) from messages"), 20,
                   "a row")
        running.signal(signal.SIGTERM)
        self.assert_exit(running.wait(30), 0)
        self.assertEqual(query(self.folder / "syslog.db", "select message from messages"),
                         [("this is err",)])

    def test_refusals_say_what_to_do(self):
        self.listen("tcp://127.0.0.1:0", journal="in.db")
        self.write_pipeline("second.yaml", name="second", sink={"null": {}},
                            source={"socket": {"listen": "udp://127.0.0.1:0", "journal": "in.db"}})
        second = self.brigade("run", "second.yaml")
        self.assert_exit(second, 1)
        self.assertRegex(second.err, r"in\.db: in use by process \d+; wait for it or stop it")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self.write_pipeline("third.yaml", name="third", sink={"null": {}}, source={
                "socket": f"tcp://127.0.0.1:{taken.getsockname()[1]}"})
            third = self.brigade("run", "third.yaml")
        self.assert_exit(third, 1)
        self.assertIn("another program does", third.err)
        checked = self.brigade("check", "third.yaml")
        self.assert_exit(checked, 0)
        self.assertIn("cannot be asked for again", checked.out)
        self.assertNotIn("cannot be asked for again", self.brigade("check", "second.yaml").out)


if __name__ == "__main__":
    brigade_e2e.main()
