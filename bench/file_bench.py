"""Times files in and files out: python3 bench/file_bench.py BRIGADE FOLDER [ITEMS] [JOB...]

lines     lines of 256 bytes -> null, positions durable; CPU seconds a million lines
regex     Apache lines of 90 bytes through a regex -> null; the same
threads   `regex` with one thread and with two, in turns; how much faster the two are
ndjson    Apache lines in combined format -> NDJSON file; CPU seconds a million lines
memory    ten times ITEMS lines -> null; the resident memory at a tenth and at the end
kills     lines -> NDJSON file, `kill -9` every two seconds; nothing lost, nothing twice

Without JOB all of them. Every item has a number: where a file comes out, each must be there once;
where none does, the report must have counted all. FLUENT_BIT names a fluent-bit to run beside
`lines` and `regex`; rsyslogd is taken for `lines` where there is one.
"""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

ROUNDS = 3
KILL_EVERY = 2.0
APACHE = (r'^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] '
          r'"(?<method>\S+)(?: +(?<path>[^ ]*) +\S*)?" (?<code>[^ ]*) (?<size>[^ ]*)$')
COMBINED = ('203.0.113.{host} - - [17/May/2015:10:05:{second:02d} +0000] "GET /orders/{n}?page=2 '
            'HTTP/1.1" 200 {n} "http://example.com/start" "Mozilla/5.0 (X11; Linux x86_64) '
            'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.77 Safari/537.36"\n')


def numbered_line(n):
    return f"{n:010d} ".ljust(255, "x") + "\n"


def apache_line(n):
    return (f'203.0.113.{n % 250} - - [17/May/2015:10:05:{n % 60:02d} +0000] '
            f'"GET /o/{n:07d} HTTP/1.1" 200 {n % 100000}\n')


def combined_line(n):
    return COMBINED.format(host=n % 250, second=n % 60, n=n)


def write_lines(path, items, line):
    with open(path, "w", encoding="ascii", buffering=1 << 20) as out:
        out.writelines(line(n) for n in range(items))


def measured(command, folder, accept=(0,)):
    """Wall and CPU seconds of a command with its children, and what it said on stderr."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, timeout=900)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in accept:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stderr}")
    return wall, (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


class Bench:
    def __init__(self, brigade, folder, items):
        self.brigade, self.folder, self.items = brigade, folder, items

    def pipeline(self, name, text):
        (self.folder / f"{name}.yaml").write_text(text, encoding="utf-8")

    def forget(self, name):
        for left in self.folder.glob(f"{name}.ledger.db*"):
            left.unlink()

    def run(self, name, items):
        """A whole run from the beginning; the report must have counted every item."""
        self.forget(name)
        report = self.folder / f"{name}.report.json"
        times = measured([self.brigade, "run", f"{name}.yaml", "--progress", "none", "--report",
                          str(report)], self.folder)
        delivered = json.loads(report.read_text())["delivered"]
        if delivered != items:
            sys.exit(f"{name}: {delivered} delivered of {items}")
        return times

    def best(self, what):
        """The round with the least CPU time: what other programs cost is not its own."""
        return min((what() for _ in range(ROUNDS)), key=lambda times: times[1])

    def tell(self, name, wall, cpu):
        million = self.items / 1e6
        print(f"{name}: {cpu / million:.2f} CPU-s a million, {self.items / wall:,.0f} lines/s",
              flush=True)

    def lines(self):
        write_lines(self.folder / "lines.log", self.items, numbered_line)
        self.pipeline("lines", "source: { file: { path: lines.log } }\nsink: { 'null': {} }\n")
        self.tell("lines -> null, brigade", *self.best(lambda: self.run("lines", self.items)))
        self.fluent_bit("lines", "lines.log", "")
        self.rsyslog("lines.log")

    def regex_pipeline(self, name, threads):
        self.pipeline(name, f"""
threads: {threads}
source: {{ file: {{ path: apache.log }} }}
stages:
  - parse: {{ regex: '{APACHE}', types: {{ code: int, size: int }} }}
    workers: {threads}
sink: {{ 'null': {{}} }}
""")

    def regex(self):
        write_lines(self.folder / "apache.log", self.items, apache_line)
        self.regex_pipeline("regex", 1)
        self.tell("Apache lines through a regex -> null, brigade",
                  *self.best(lambda: self.run("regex", self.items)))
        self.fluent_bit("regex", "apache.log", "    parser        line\n")

    def threads(self):
        write_lines(self.folder / "apache.log", self.items, apache_line)
        self.regex_pipeline("one", 1)
        self.regex_pipeline("two", 2)
        ones, twos = [], []
        for _ in range(2 * ROUNDS):
            ones.append(self.run("one", self.items)[0])
            twos.append(self.run("two", self.items)[0])
        print(f"regex with two threads: {min(ones) / min(twos):.2f} times as fast as with one "
              f"({min(ones):.2f} s, {min(twos):.2f} s)", flush=True)

    def ndjson(self):
        write_lines(self.folder / "combined.log", self.items, combined_line)
        self.pipeline("ndjson", """
source: { file: { path: combined.log } }
stages: [ { parse: combined } ]
sink: { file: { path: parsed.ndjson } }
""")

        def once():
            (self.folder / "parsed.ndjson").unlink(missing_ok=True)
            return self.run("ndjson", self.items)
        self.tell("combined lines -> NDJSON file, brigade", *self.best(once))
        self.each_once("parsed.ndjson", lambda row: int(row["bytes"]), self.items)

    def each_once(self, name, number_of, items):
        with open(self.folder / name, encoding="utf-8") as rows:
            numbers = [number_of(json.loads(row)) for row in rows]
        if len(numbers) != items or len(set(numbers)) != items:
            sys.exit(f"{name}: {len(numbers)} rows, {len(set(numbers))} different, {items} lines")

    def memory(self):
        items = 10 * self.items
        write_lines(self.folder / "many.log", items, numbered_line)
        self.pipeline("memory", "source: { file: { path: many.log } }\nsink: { 'null': {} }\n")
        self.forget("memory")
        with subprocess.Popen([self.brigade, "run", "memory.yaml", "--progress", "none"],
                              cwd=self.folder, stderr=subprocess.DEVNULL) as running:
            size = (self.folder / "many.log").stat().st_size
            seen = []
            while running.poll() is None:
                seen.append((self.bytes_read(running.pid), self.resident(running.pid)))
                time.sleep(0.02)
        if running.returncode != 0:
            sys.exit(f"memory: exit {running.returncode}")
        (self.folder / "many.log").unlink()
        tenth = max(rss for read, rss in seen if read <= size / 10)
        whole = max(rss for read, rss in seen if read < size)
        end = max(rss for _, rss in seen)
        print(f"{items} lines: {tenth / 1024:.1f} MiB resident at most in the first tenth, "
              f"{whole / 1024:.1f} up to the last line, {100 * (whole / tenth - 1):+.1f}%; "
              f"{end / 1024:.1f} with the code that ends a run", flush=True)

    @staticmethod
    def bytes_read(process):
        try:
            for line in pathlib.Path(f"/proc/{process}/io").read_text().splitlines():
                if line.startswith("rchar:"):
                    return int(line.split()[1])
        except (OSError, ProcessLookupError):
            pass
        return 1 << 62

    @staticmethod
    def resident(process):
        try:
            for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        except (OSError, ProcessLookupError):
            pass
        return 0

    def kills(self):
        items = 10 * self.items
        write_lines(self.folder / "lines.log", items, numbered_line)
        self.pipeline("kills", """
source: { file: { path: lines.log } }
sink: { file: { path: lines.ndjson } }
""")
        self.forget("kills")
        rows = self.folder / "lines.ndjson"
        rows.unlink(missing_ok=True)
        killed, waits = 0, []
        while True:
            began = time.monotonic()
            before = rows.stat().st_size if rows.exists() else 0
            with subprocess.Popen([self.brigade, "run", "kills.yaml", "--progress", "none"],
                                  cwd=self.folder, stderr=subprocess.DEVNULL) as running:
                # It first cuts the file to what was recorded.
                while running.poll() is None and rows.exists() and rows.stat().st_size <= before:
                    time.sleep(0.001)
                waits.append(time.monotonic() - began)
                try:
                    running.wait(max(0.0, began + KILL_EVERY - time.monotonic()))
                except subprocess.TimeoutExpired:
                    running.send_signal(signal.SIGKILL)
                    killed += 1
                    continue
            if running.returncode != 0:
                sys.exit(f"kills: exit {running.returncode}")
            break
        self.each_once("lines.ndjson", lambda row: int(row["line"][:10]), items)
        rows.unlink()
        print(f"{items} lines -> NDJSON file, killed {killed} times: nothing lost, nothing twice; "
              f"at most {max(waits):.2f} s from a start to the first new row", flush=True)

    def fluent_bit(self, name, log, parser):
        program = os.environ.get("FLUENT_BIT")
        if not program:
            return
        state = self.folder / "fluent"
        (self.folder / "parsers.conf").write_text(
            f"[PARSER]\n    name line\n    format regex\n    regex {APACHE}\n"
            "    types code:integer size:integer\n")
        (self.folder / "fluent.conf").write_text(
            "[SERVICE]\n    flush 1\n    grace 1\n    log_level error\n"
            "    parsers_file parsers.conf\n"
            f"[INPUT]\n    name tail\n    path {log}\n    read_from_head true\n"
            f"    exit_on_eof true\n    db {state}.db\n{parser}"
            "[OUTPUT]\n    name null\n    match *\n")

        def once():
            for left in self.folder.glob("fluent.db*"):
                left.unlink()
            return measured([program, "-c", "fluent.conf"], self.folder)
        self.tell(f"the same, Fluent Bit ({name})", *self.best(once))

    def rsyslog(self, log):
        program = shutil.which("rsyslogd")
        if program is None:
            return
        out = self.folder / "rsyslog.out"
        (self.folder / "rsyslog.conf").write_text(
            f'global(workDirectory="{self.folder}" maxMessageSize="64k")\n'
            'module(load="imfile" mode="inotify")\n'
            'template(name="line" type="string" string="%msg%\\n")\n'
            f'input(type="imfile" file="{self.folder / log}" tag="x" ruleset="r")\n'
            'ruleset(name="r") { action(type="omfile" file="' + str(out) + '" template="line") }\n')

        def once():
            for left in [out, *self.folder.glob("imfile-state*")]:
                left.unlink(missing_ok=True)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.monotonic()
            size = (self.folder / log).stat().st_size
            with subprocess.Popen([program, "-n", "-f", "rsyslog.conf", "-i", "rsyslog.pid"],
                                  cwd=self.folder, stderr=subprocess.DEVNULL) as running:
                while not (out.exists() and out.stat().st_size >= size):
                    if time.monotonic() - began > 300 or running.poll() is not None:
                        sys.exit("rsyslogd did not write all lines")
                    time.sleep(0.01)
                wall = time.monotonic() - began
                running.terminate()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            out.unlink()
            return wall, (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
        self.tell("the same into a file, rsyslog", *self.best(once))


def main(program, folder, items="1000000", *jobs):
    bench = Bench(os.path.abspath(program), pathlib.Path(folder).resolve(), int(items))
    for job in jobs or ("lines", "regex", "threads", "ndjson", "memory", "kills"):
        getattr(bench, job)()


if __name__ == "__main__":
    main(*sys.argv[1:])
