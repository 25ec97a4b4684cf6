"""Real servers for the tests: each on a free port of loopback, in a temporary folder of its own,
ended by its process id. A server whose package is missing fails the test.
"""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

POSTGRES = Path("/usr/lib/postgresql/15/bin")
END_OF_ANSWER = "-- end of the answer --"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Psql:
    """A psql that stays, so that asking costs no process. It ends with its connection."""

    def __init__(self, conninfo):
        self.process = subprocess.Popen(
            [POSTGRES / "psql", "-XqAt", "-F", "\t", "-v", "VERBOSITY=terse", conninfo],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def ask(self, sql):
        """The rows, each a tuple of texts; None when the connection is gone."""
        lines = []
        try:
            self.process.stdin.write(f"{sql};\n\\echo {END_OF_ANSWER}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line == END_OF_ANSWER:
                if lines and lines[0].startswith(("ERROR:", "FATAL:")):
                    return None if "FATAL" in lines[0] else lines
                return [tuple(each.split("\t")) for each in lines]
            lines.append(line)
        return None

    def close(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:  # what was not written any more
                pass


class Postgres:
    """A PostgreSQL 15 server, run as the user postgres where the test is root."""

    def __init__(self, *settings):
        self.folder = Path(tempfile.mkdtemp(prefix="brigade-postgres-"))
        self.folder.chmod(0o755)
        self.settings = [word for each in settings for word in ("-c", each)]
        self.as_user = {}
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        self.data = self.folder / "data"
        subprocess.run([POSTGRES / "initdb", "-D", self.data, "-A", "trust", "-U", "postgres",
                        "--no-sync", "--locale=C.UTF-8", "-E", "UTF8"], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, **self.as_user)
        self.port = free_port()
        self.process = None
        self.psql = None
        try:
            self.start()
        except BaseException:
            self.remove()
            raise

    def conninfo(self, database="postgres"):
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={database}"

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [POSTGRES / "postgres", "-D", self.data, "-p", str(self.port), "-c",
                 "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c",
                 "lc_messages=C", *self.settings],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.as_user)
        deadline = time.monotonic() + 30
        while self.ask("select 1") != [("1",)]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.01)

    def stop(self, number=signal.SIGINT):
        """SIGINT: the fast stop. SIGQUIT: the immediate one, as in a crash."""
        self.process.send_signal(number)
        self.process.wait(30)

    def restart(self, number=signal.SIGINT):
        self.stop(number)
        self.start()

    def pids(self):
        """Of the server and of all its processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def freeze(self):
        """Nothing answers, and every connection stands."""
        self.frozen = self.pids()
        for pid in self.frozen:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self):
        for pid in self.frozen:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def ask(self, sql, database="postgres"):
        """The rows, each a tuple of texts; None when the server did not answer."""
        if self.psql is not None and self.psql[0] != database:
            self.hang_up()
        if self.psql is None:
            self.psql = (database, Psql(self.conninfo(database)))
        rows = self.psql[1].ask(sql)
        if rows is None:
            self.hang_up()
        return rows

    def hang_up(self):
        if self.psql is not None:
            self.psql[1].close()
            self.psql = None

    def remove(self):
        self.hang_up()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)
