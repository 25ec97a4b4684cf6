"""What the black-box tests share: the program in a folder of its own, watched from outside.

Nothing here knows how brigade works. It is started as a user starts it, and judged by its exit
code, its standard error, its report, its ledger and what it wrote. Waiting is always for a
condition with a deadline; a deadline that passes fails the test with what was waited for.

Environment: BRIGADE_PROGRAM (required), BRIGADE_EXAMPLES, BRIGADE_E2E_SEED (repeats a run),
BRIGADE_E2E_PATIENCE (multiplies upper bounds, for sanitizers), BRIGADE_E2E_KEEP (keeps folders),
BRIGADE_CASES_LOG (a file: which test had to do with which foreign program; tools/tally.py).
"""
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
HANDLERS = HERE / "handlers"
EXAMPLES = Path(os.environ.get("BRIGADE_EXAMPLES", HERE.parent.parent / "examples")).resolve()
PATIENCE = float(os.environ.get("BRIGADE_E2E_PATIENCE", "1"))
OUTCOMES = ("delivered", "filtered", "dead_lettered", "dropped", "returned")
LAST_LINE = re.compile(
    r"^(?P<pipeline>[a-z0-9_-]+): taken (?P<taken>\d+) = delivered (?P<delivered>\d+)"
    r" \+ filtered (?P<filtered>\d+) \+ dead_lettered (?P<dead_lettered>\d+)"
    r" \+ dropped (?P<dropped>\d+) \+ returned (?P<returned>\d+);"
    r" retries (?P<retries>\d+); (?P<seconds>\d+(\.\d+)?) s; exit (?P<exit>\d+)$")


def program():
    path = os.environ.get("BRIGADE_PROGRAM")
    if not path:
        sys.exit("BRIGADE_PROGRAM is not set: give it the path of the program to test")
    return os.path.abspath(path)


def seeded(name):
    """A source of chance whose seed is printed, so that a failure can be had again."""
    seed = int(os.environ.get("BRIGADE_E2E_SEED", random.SystemRandom().randrange(2**32)))
    print(f"{name}: BRIGADE_E2E_SEED={seed}", file=sys.stderr, flush=True)
    return random.Random(seed)


def wait_until(condition, within, what):
    """The first true value of `condition`, asked for until `within` seconds have passed."""
    deadline = time.monotonic() + within * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within * PATIENCE:g} s in vain for: {what}")
        time.sleep(0.005)


def query(database, sql, *values):
    connection = sqlite3.connect(database, timeout=10)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def glimpse(database, sql):
    """One number out of a database somebody else is writing; 0 while there is nothing to see."""
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=0.05)
        try:
            return connection.execute(sql).fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error:
        return 0


def lines_in(paths):
    """How many there are in files somebody else is writing, and may take away."""
    count = 0
    for path in paths:
        try:
            count += path.read_bytes().count(b"\n")
        except FileNotFoundError:
            pass
    return count


def processes_of(mark, folder):
    """Ids of living processes that carry the mark, or work in or on the folder."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            traces = [Path(entry.path, name).read_bytes() for name in ("environ", "cmdline")]
            traces.append(os.fsencode(os.readlink(Path(entry.path, "cwd"))))
        except OSError:  # it has ended, or is not ours to see
            continue
        if any(mark.encode() in trace for trace in traces) or (
                folder and any(os.fsencode(str(folder)) in trace for trace in traces[1:])):
            found.append(int(entry.name))
    return found


class Result:
    def __init__(self, exit_code, out, err, seconds):
        self.exit, self.out, self.err, self.seconds = exit_code, out, err, seconds

    def last_line(self):
        """The numbers of the last line on standard error."""
        line = self.err.rstrip("\n").rsplit("\n", 1)[-1]
        match = LAST_LINE.match(line)
        if not match:
            raise AssertionError(f"the last line on stderr is not the report's:\n{self.err}")
        numbers = {key: int(value) for key, value in match.groupdict().items()
                   if key not in ("pipeline", "seconds")}
        return {"pipeline": match["pipeline"], "seconds": float(match["seconds"]), **numbers}


class Running:
    """A started program. Its output goes to files, so that it never waits for us."""

    def __init__(self, arguments, folder, environment, stdin, command, options):
        self.began = time.monotonic()
        self.mark = f"BRIGADE_E2E_MARK={uuid.uuid4().hex}"
        name, _, value = self.mark.partition("=")
        self.folder = folder
        self.paths = [Path(folder, f".{value}.{stream}") for stream in ("out", "err")]
        with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
            self.process = subprocess.Popen(
                [command or program(), *map(str, arguments)], cwd=folder, stdin=stdin, stdout=out,
                stderr=err, env={**os.environ, **environment, name: value}, **options)
        self.pid = self.process.pid

    def out(self):
        return self.paths[0].read_text("utf-8", "replace")

    def err(self):
        return self.paths[1].read_text("utf-8", "replace")

    def is_running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait_for_words(self, pattern, within, what):
        """Waits until standard error says something like `pattern`."""
        def said():
            if re.search(pattern, self.err()):
                return True
            if not self.is_running():
                raise AssertionError(f"it ended before: {what}; stderr:\n{self.err()}")
            return False
        wait_until(said, within, what)

    def wait(self, within):
        """Its result; a program that is still there when `within` seconds are over is killed."""
        try:
            self.process.wait(within * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"still running after {within * PATIENCE:g} s; stderr:\n{self.err()}") from None
        seconds = time.monotonic() - self.began
        return Result(self.process.returncode, self.out(), self.err(), seconds)

    def kill(self):
        """kill -9; true if that is what ended it."""
        self.process.kill()
        return self.process.wait() == -signal.SIGKILL

    def left_over(self):
        """Living processes that descend from this one."""
        return [pid for pid in processes_of(self.mark, None) if pid != self.pid]


class CasesLog:
    """A line a test: its name, what became of it, and which programs were started for it, also by
    its class for all of them."""

    def __init__(self, path):
        self.path = path
        self.test_class = None
        self.by_class = set()
        self.by_test = None
        if path:
            sys.addaudithook(self.note)

    def note(self, event, arguments):
        if event == "subprocess.Popen":
            name = os.path.basename(os.fsdecode(arguments[0]))
        elif event == "sqlite3.connect":
            name = "sqlite"
        else:
            return
        (self.by_class if self.by_test is None else self.by_test).add(name)

    def begin(self, test):
        if self.test_class not in (None, type(test)):
            self.by_class = set()
        self.test_class = type(test)
        self.by_test = set()

    def end(self, test, result):
        used = self.by_class | self.by_test
        self.by_test = None
        reasons = [why for skipped, why in result.skipped if skipped is test]
        what = f"skipped: {reasons[0]}" if reasons else "ran"
        if self.path:
            name = f"{Path(sys.argv[0]).stem}.{type(test).__name__}.{test._testMethodName}"
            with open(self.path, "a", encoding="utf-8") as log:
                log.write(f"{name}\t{what}\t{' '.join(sorted(used))}\n")


CASES_LOG = CasesLog(os.environ.get("BRIGADE_CASES_LOG"))


class BrigadeTest(unittest.TestCase):
    """A test with a folder of its own, which checks at its end that no process is left over."""

    def run(self, result=None):
        CASES_LOG.begin(self)
        result = super().run(result)
        CASES_LOG.end(self, result)
        return result

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="brigade-e2e-"))
        self.started = []
        self.addCleanup(self.clean_up)

    def clean_up(self):
        for running in self.started:
            if running.is_running():
                running.kill()
        try:
            self.assert_no_process_is_left()
        finally:
            for pid in processes_of(str(self.folder), self.folder):
                os.kill(pid, signal.SIGKILL)
            if not os.environ.get("BRIGADE_E2E_KEEP"):
                shutil.rmtree(self.folder, ignore_errors=True)

    def assert_no_process_is_left(self):
        wait_until(lambda: not processes_of(str(self.folder), self.folder)
                   and not any(running.left_over() for running in self.started),
                   5, "all child processes to be gone")

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def write_pipeline(self, file_name="pipeline.yaml", **keys):
        """Writes a pipeline file: JSON, which is YAML. Keys are those of the file."""
        return self.write(file_name, json.dumps({"state": "state", **keys}, indent=1))

    def start(self, *arguments, env=None, stdin=subprocess.DEVNULL, command=None, **options):
        running = Running(arguments, self.folder, env or {}, stdin, command, options)
        self.started.append(running)
        return running

    def brigade(self, *arguments, env=None, within=60, **options):
        return self.start(*arguments, env=env, **options).wait(within)

    def run_pipeline(self, name="pipeline.yaml", expect=None, arguments=(), **options):
        """`brigade run`, with its report checked: (result, report)."""
        path = self.folder / f"report-{len(self.started)}.json"
        result = self.brigade("run", name, "--report", path, *arguments, **options)
        if expect is not None:
            self.assert_exit(result, expect)
        return result, self.checked_report(path, result)

    def checked_report(self, path, result=None):
        """The report as read, after everything that must hold of any report."""
        report = json.loads(Path(path).read_text())
        self.assert_adds_up(report)
        self.assertEqual(report["in_flight"], 0, "a run that ended has nothing in flight")
        if result is not None:
            self.assertEqual(report["exit"], result.exit)
            said = result.last_line()
            for key in ("pipeline", "taken", *OUTCOMES, "retries", "exit"):
                self.assertEqual(said[key], report[key], f"{key}: last line and report differ")
        return report

    def assert_adds_up(self, report):
        self.assertEqual(report["taken"],
                         sum(report[key] for key in (*OUTCOMES, "in_flight")), report)
        for stage in report["stages"]:
            went = ("passed", "filtered", "dead_lettered", "dropped", "returned", "in_flight")
            self.assertEqual(stage["in"] + stage["born"], sum(stage[key] for key in went), stage)

    def assert_exit(self, result, code):
        self.assertEqual(result.exit, code, f"stdout:\n{result.out}\nstderr:\n{result.err}")

    def ledger(self, name):
        return self.folder / "state" / f"{name}.ledger.db"

    def assert_rows_exactly_once(self, database, table, expected, column="n"):
        """Every expected value is there, none twice, and nothing else."""
        counts = dict(query(database, f'select "{column}", count(*) from "{table}" group by 1'))
        missing = sorted(set(expected) - set(counts))
        foreign = sorted(set(counts) - set(expected), key=str)
        twice = {value: count for value, count in counts.items() if count != 1}
        self.assertEqual((missing[:9], foreign[:9], dict(list(twice.items())[:9])), ([], [], {}),
                         f"of {table}: (missing, foreign, more than once), the first of each")


def numbers(count):
    """A file of items: {"n": 1} to {"n": count}."""
    return "".join(f'{{"n": {number}}}\n' for number in range(1, count + 1))


def python(script, *arguments):
    """The command of a handler in Python."""
    return [sys.executable, str(script), *map(str, arguments)]


def main():
    program()
    unittest.main(verbosity=2)
