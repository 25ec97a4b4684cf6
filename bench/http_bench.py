"""Times the HTTP sink at a real nginx: python3 bench/http_bench.py BRIGADE FOLDER [ITEMS] [JOB...]

batches   J3: lines of 256 bytes -> NDJSON requests of 1000 lines; CPU seconds a million lines
single    a tenth of ITEMS, one item a request, eight at once; microseconds of CPU a request
tls       the same over TLS

nginx answers 200 to each; the bytes that it noted must be those of every line once. CPU is that of
brigade alone. Without JOB all. FLUENT_BIT names a fluent-bit to run beside `batches`.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

from file_bench import ROUNDS, measured, numbered_line, write_lines


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Target:
    """nginx, which notes the length of each body."""

    def __init__(self, folder):
        self.folder, self.ports = folder, (free_port(), free_port())
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost", "-days", "2", "-keyout", "host.key", "-out",
                        "host.pem"], cwd=folder, check=True, capture_output=True)
        (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid nginx.pid; error_log nginx.log warn;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 512; }}
http {{
  client_body_temp_path body; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u;
  scgi_temp_path s; client_max_body_size 64m; client_body_buffer_size 2m;
  log_format noted '$status $http_content_length'; access_log noted.log noted buffer=64k flush=1s;
  ssl_certificate host.pem; ssl_certificate_key host.key;
  server {{ listen 127.0.0.1:{self.ports[0]}; location / {{ return 200; }} }}
  server {{ listen 127.0.0.1:{self.ports[1]} ssl; location / {{ return 200; }} }}
}}
""")
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        if program is None:
            sys.exit("nginx is not installed (Debian: nginx-light)")
        self.process = subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf"])
        while subprocess.call(["sh", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{self.ports[0]}"],
                              executable="/bin/bash", stderr=subprocess.DEVNULL) != 0:
            time.sleep(0.05)

    def noted(self):
        """(requests, bytes) that were answered with 200 since it was asked last."""
        time.sleep(1.5)  # it writes once a second
        log = self.folder / "noted.log"
        rows = [line.split() for line in log.read_text().splitlines()]
        os.truncate(log, 0)
        return len(rows), sum(int(length) for status, length in rows if status == "200")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Bench:
    def __init__(self, brigade, folder, items):
        self.brigade, self.folder, self.items = brigade, folder, items
        self.target = Target(folder)

    def run(self, items, sink):
        """A whole run; every line must have come to nginx once."""
        for left in self.folder.glob("sent.ledger.db*"):
            left.unlink()
        write_lines(self.folder / "lines.log", items, numbered_line)
        (self.folder / "sent.yaml").write_text(json.dumps(
            {"source": {"file": {"path": "lines.log"}}, "sink": sink}))
        best = None
        for _ in range(ROUNDS):
            times = measured([self.brigade, "run", "sent.yaml", "--fresh", "--progress", "none"],
                             self.folder)
            requests, size = self.target.noted()
            lines = items * (255 + len('{"line":""}')) + (items if "batch" in sink else 0)
            if size != lines:
                sys.exit(f"nginx noted {size} bytes of {lines}, in {requests} requests")
            best = min(best or times, times, key=lambda one: one[1])
        return best, requests

    def batches(self):
        (wall, cpu), requests = self.run(self.items, {
            "http": {"url": f"http://127.0.0.1:{self.target.ports[0]}/in", "format": "ndjson"},
            "batch": {"count": 1000}})
        million = self.items / 1e6
        print(f"lines -> NDJSON requests of 1000, brigade: {cpu / million:.2f} CPU-s a million, "
              f"{self.items / wall:,.0f} lines/s, {requests} requests", flush=True)
        self.fluent_bit()

    def one_by_one(self, name, url, **fields):
        items = self.items // 10
        (wall, cpu), _ = self.run(items, {"http": {"url": url, "in_flight": 8, **fields}})
        print(f"{name}: {1e6 * cpu / items:.1f} us CPU a request, {items / wall:,.0f} requests/s",
              flush=True)

    def single(self):
        self.one_by_one("one line a request", f"http://127.0.0.1:{self.target.ports[0]}/in")

    def tls(self):
        self.one_by_one("the same over TLS", f"https://localhost:{self.target.ports[1]}/in",
                        ca="host.pem")

    def fluent_bit(self):
        program = os.environ.get("FLUENT_BIT")
        if not program:
            return
        (self.folder / "fluent.conf").write_text(
            "[SERVICE]\n    flush 1\n    grace 1\n    log_level error\n"
            "[INPUT]\n    name tail\n    path lines.log\n    read_from_head true\n"
            f"    exit_on_eof true\n    db {self.folder}/fluent.db\n"
            "[OUTPUT]\n    name http\n    match *\n    host 127.0.0.1\n    uri /in\n"
            f"    port {self.target.ports[0]}\n    format json_lines\n")
        times = []
        for _ in range(ROUNDS):
            for left in self.folder.glob("fluent.db*"):
                left.unlink()
            times.append(measured([program, "-c", "fluent.conf"], self.folder))
            self.target.noted()
        wall, cpu = min(times, key=lambda one: one[1])
        print(f"the same, Fluent Bit: {cpu / (self.items / 1e6):.2f} CPU-s a million, "
              f"{self.items / wall:,.0f} lines/s", flush=True)


def main(program, folder, items="1000000", *jobs):
    bench = Bench(os.path.abspath(program), pathlib.Path(folder).resolve(), int(items))
    try:
        for job in jobs or ("batches", "single", "tls"):
            getattr(bench, job)()
    finally:
        bench.target.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
