"""What an item posted by HTTP costs: python3 bench/http_source_bench.py BRIGADE FOLDER [SECONDS]

Clients on connections that are kept post orders to the source `http`, one a request (on 64 and on
256 connections) and a hundred a request (on 64), and wait for each answer. Prints the CPU-seconds
of brigade's own (all its threads, not the client's) for a million items, and the requests a second
that this client made.

Every request must be answered 200, and every item of it must be delivered.
"""
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time

ORDER = {"id": 12345, "customer": "VINET", "total": 440.5, "lines": [{"product": 11, "qty": 12}]}
PIPELINE = """
name: orders
source: {{ http: {{ listen: "127.0.0.1:{port}", path: /orders }} }}
sink: {{ "null": {{}} }}
ledger: {mode}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_open(port, running):
    for _ in range(1000):
        if running.poll() is not None:
            sys.exit(f"brigade ended early: {running.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit("brigade does not listen")


def request(items):
    body = json.dumps([ORDER] * items if items > 1 else ORDER).encode()
    return (b"POST /orders HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body))


class Connection:
    """One request under way at a time; the next begins when its answer is whole."""

    def __init__(self, port, text):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.text = text
        self.answer = b""
        self.socket.sendall(text)

    def take(self):
        """True when the answer is whole."""
        self.answer += self.socket.recv(1 << 18)
        head = self.answer.find(b"\r\n\r\n")
        if head < 0:
            return False
        length = int(self.answer[:head].lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(self.answer) < head + 4 + length:
            return False
        if not self.answer.startswith(b"HTTP/1.1 200 OK\r\n"):
            sys.exit(f"not delivered: {self.answer[:500]!r}")
        self.answer = b""
        return True


def post_for(seconds, port, text, clients):
    poller = select.epoll()
    connections = {}
    for _ in range(clients):
        each = Connection(port, text)
        connections[each.socket.fileno()] = each
        poller.register(each.socket.fileno(), select.EPOLLIN)
    until = time.monotonic() + seconds
    answered = 0
    while connections:
        go_on = time.monotonic() < until
        for descriptor, _ in poller.poll(10):
            each = connections[descriptor]
            if not each.take():
                continue
            answered += 1
            if go_on:
                each.socket.sendall(text)
            else:
                poller.unregister(descriptor)
                connections.pop(descriptor).socket.close()
    return answered


def measure(brigade, folder, mode, items, clients, seconds):
    folder.mkdir(parents=True)
    port = free_port()
    (folder / "orders.yaml").write_text(PIPELINE.format(port=port, mode=mode))
    report = folder / "report.json"
    running = subprocess.Popen([brigade, "run", "orders.yaml", "--progress", "none", "--report",
                                str(report)], cwd=folder, stderr=open(folder / "log", "wb"))
    try:
        wait_until_open(port, running)
        text = request(items)
        post_for(0.3, port, text, clients)
        before, began = cpu_seconds(running.pid), time.monotonic()
        answered = post_for(seconds, port, text, clients)
        wall, cpu = time.monotonic() - began, cpu_seconds(running.pid) - before
        running.send_signal(signal.SIGTERM)
        code = running.wait(timeout=60)
    finally:
        running.kill()
    delivered = json.loads(report.read_text())["delivered"]
    if code != 0 or delivered < answered * items:
        sys.exit(f"WRONG: exit {code}, {delivered} delivered of {answered * items} answered")
    cost = cpu / (answered * items) * 1e6
    print(f"{mode:8} {items:4} a request, {clients:3} clients: {cost:6.2f} CPU-s a million items "
          f"({answered / wall:.0f} requests/s, {answered * items} items)")


def main(brigade, target, seconds):
    folder = pathlib.Path(target).absolute()
    for mode in ("full", "failures"):
        for items, clients in ((1, 64), (1, 256), (100, 64)):
            where = folder / f"{mode}-{items}-{clients}"
            measure(brigade, where, mode, items, clients, seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 10)
