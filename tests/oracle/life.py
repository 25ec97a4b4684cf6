"""A pipeline's life: runs that are killed, stopped or out of room, and a last one in peace."""
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
import brigade_e2e  # noqa: E402
from brigade_e2e import PATIENCE, glimpse, lines_in, wait_until  # noqa: E402

from oracle import Oracle, files_of, rows_of  # noqa: E402
from random_pipeline import Model  # noqa: E402
from small_disk import SmallDisk, can_mount  # noqa: E402

WITHIN = 60
GRACE = 5  # seconds behind the deadline of a stop
FAULT_POINTS = ("after_sink_commit", "after_ledger_flush", "in_recovery")
FULL = r"waiting for room|is down, intake pauses"


class Life:
    """One pipeline from a seed, in a folder of its own."""

    def __init__(self, test, seed):
        self.test = test
        self.model = Model(seed, PATIENCE)
        self.chance = self.model.chance
        self.folder = test.folder / f"life{seed}"
        for name in ("marks", "out"):
            (self.folder / name).mkdir(parents=True)
        for partition in self.model.partitions:
            (self.folder / partition).touch()
        self.outputs, self.told = [], []
        self.kills = self.other_kills = self.stops = self.fills = 0
        self.oracle = None

    def tell(self, what):
        self.told.append(what)

    def append(self, bytes_by_partition):
        """From here on these are obligations."""
        for partition, data in bytes_by_partition.items():
            with open(self.folder / partition, "ab") as file:
                file.write(data)
        self.tell(f"{len(self.model.obligations())} items")

    # --- runs ---

    def start(self, calm=False, **environment):
        relative = self.folder.relative_to(self.test.folder)
        self.test.write(str(relative / "pipeline.yaml"),
                        json.dumps(self.model.pipeline(self.folder, calm), indent=1))
        self.report = self.folder / f"report-{len(self.outputs)}.json"
        self.rows_before = self.rows_so_far()
        self.marks_before = self.commits_so_far()
        return self.test.start("run", self.folder / "pipeline.yaml", "--report", self.report,
                               env=environment)

    def rows_so_far(self):
        if self.model.sink == "sqlite":
            return glimpse(self.folder / "out" / "out.db", "select count(*) from items")
        if self.model.sink == "null":
            return self.commits_so_far()
        paths = files_of(self.folder / "out", "items")
        if self.model.sink == "stdout":
            paths = [running.paths[0] for running in self.test.started[-1:]]
        return lines_in(paths)

    def commits_so_far(self):
        return glimpse(self.folder / "state" / f"{self.model.name}.ledger.db",
                       "select coalesce(sum(delivered + filtered + dead_lettered + dropped"
                       " + returned), 0) from runs")

    def ended(self, running, within=WITHIN, may=(0, 3)):
        """Its exit code, after everything that must be true of it."""
        result = running.wait(within)
        killed = result.exit == -signal.SIGKILL
        self.outputs.append((running.paths[0].read_bytes(), killed))
        self.tell(f"exit {result.exit}; {self.commits_so_far()} accounted for")
        if killed:  # its handlers are orphans now, and go with it
            wait_until(lambda: not running.left_over(), 5, "its handlers to be gone")
            return result.exit
        if "fail_fast" in self.policies() or "tolerate" in self.policies():
            may = (*may, 4)
        if result.exit not in may:
            raise AssertionError(f"exit {result.exit}, and not one of {may}:\n{result.err}")
        if result.exit != 1:
            self.check_report(result)
        return result.exit

    def policies(self):
        return (self.folder / "pipeline.yaml").read_text()

    def check_report(self, result):
        report = self.test.checked_report(self.report, result)
        if report["run"] == 0:  # stopped while it opened its ends: the ledger has no such run
            self.test.assertEqual(report["taken"], 0)
            self.test.assertIn("stopped before source and sink were open", result.err)
            return
        row, = rows_of(self.ledger(), "select * from runs order by run desc limit 1")
        for name in brigade_e2e.OUTCOMES:
            self.test.assertEqual(report[name], row[name], f"{name}: report and ledger differ")
        self.test.assertEqual(row["exit"], result.exit)
        failed = report["dead_lettered"] + report["dropped"]
        if result.exit in (0, 3):
            self.test.assertEqual((report["returned"], failed > 0), (0, result.exit == 3))
            self.test.assertEqual(Oracle(self.model, self.folder).accounted(),
                                  len(self.model.obligations()), "it said that it was through")

    def ledger(self):
        return self.folder / "state" / f"{self.model.name}.ledger.db"

    # --- faults: each starts a run and ends it; `left_for`: as long as it runs ---

    def wait_for_rows(self, running, more):
        wait_until(lambda: not running.is_running()
                   or self.rows_so_far() >= self.rows_before + more, WITHIN, f"{more} rows")

    def kill(self):
        """At any instant at which something is done, and not all."""
        running = self.start()
        self.wait_for_rows(running, self.chance.choice((1, 1, 5, 30, 100)))
        time.sleep(self.chance.random() * 0.03)
        rows, commits = self.rows_so_far(), self.commits_so_far()
        running.process.kill()
        counts = (self.ended(running, may=(0, 3)) == -signal.SIGKILL and rows > 0 and commits > 0
                  and rows != self.rows_before)
        self.kills += counts
        self.other_kills += not counts

    def kill_early(self):
        """As it starts, or in what it does about the run before."""
        running = self.start()
        time.sleep(self.chance.random() * 0.12)
        running.process.kill()
        self.other_kills += self.ended(running) == -signal.SIGKILL

    def die_at(self):
        point = self.chance.choice(FAULT_POINTS)
        running = self.start(BRIGADE_DIE_AT=f"{point}:{self.chance.choice((1, 1, 2, 5))}")
        self.other_kills += self.ended(running) == -signal.SIGKILL

    def stop(self):
        running = self.start()
        if self.chance.random() < 0.8:
            self.wait_for_rows(running, self.chance.choice((1, 5, 30)))
        else:
            time.sleep(self.chance.random() * 0.1)
        self.stop_it(running, self.chance.choice(
            ((signal.SIGTERM,), (signal.SIGINT,), (signal.SIGINT, signal.SIGINT),
             (signal.SIGTERM, signal.SIGTERM, signal.SIGINT))))

    def stop_it(self, running, signals, may=(0, 3, 5)):
        """A signal that comes before it listens ends it, as any program."""
        for number in signals:
            running.signal(number)
            time.sleep(0.02)
        within = int(self.model.stop_timeout[:-1]) + GRACE
        if not self.listened(running):
            running.process.wait(within * PATIENCE)
            running.process.kill()
            self.outputs.append((running.paths[0].read_bytes(), True))
            return
        code = self.ended(running, within, may)
        self.stops += code == 5

    def listened(self, running):
        """False when the signal itself ended it, before it could listen."""
        try:
            code = running.process.wait((int(self.model.stop_timeout[:-1]) + GRACE) * PATIENCE)
        except subprocess.TimeoutExpired:
            return True
        return code not in (-signal.SIGTERM, -signal.SIGINT)

    def fill_disk(self):
        """The disk of the sink or of the ledger is full; then there is room, or it ends so."""
        if not can_mount():
            return self.kill()
        name = self.chance.choice(("state", "out"))
        (self.folder / name).mkdir(exist_ok=True)
        disk = SmallDisk(self.folder / name, self.chance.choice((20, 60, 120, 300)) << 10)
        try:
            self.run_on_full_disk(disk)
        finally:
            if self.test.started[-1].is_running():
                self.test.started[-1].kill()
            disk.unmount()

    def run_on_full_disk(self, disk):
        running = self.start()
        wait_until(lambda: not running.is_running() or re.search(FULL, running.err()), WITHIN,
                   "a full disk, or the end")
        was_full = running.is_running()
        self.fills += was_full
        self.tell(f"full: {disk.folder.name}" if was_full else "it had enough room")
        then = self.chance.choice(("room", "room", "kill", "stop"))
        if then == "room":
            disk.make_room()
            self.ended(running, may=(0, 3, 1) if not was_full else (0, 3))
        elif then == "kill":
            running.process.kill()
            self.ended(running, may=(0, 3, 1))
        else:
            self.stop_it(running, (signal.SIGTERM,), may=(0, 1, 3, 5))

    FAULTS = ((6, kill), (2, kill_early), (2, die_at), (3, stop), (2, fill_disk))

    # --- the whole of it ---

    def live(self, faults):
        model, chance = self.model, self.chance
        self.append(model.make(chance.choice((5, 40, 150, 400))))
        weights, what = zip(*self.FAULTS)
        for _ in range(faults):
            if self.commits_so_far() >= len(model.obligations()) or chance.random() < 0.3:
                self.append(model.make(chance.choice((1, 30, 120, 300))))
            fault, = chance.choices(what, weights)
            self.tell(fault.__name__)
            fault(self)
        self.in_peace()
        probe, data = model.make_probe()
        self.append(data)
        self.in_peace()
        self.tell(f"the probe {probe.id} went through")
        refuses = any(stage.refuses for stage in model.every_stage())
        if not (model.holds_keys and refuses):  # what fails again holds its key again
            self.replay()

    def replay(self):
        """The dead letters, with handlers that are mended; with luck killed in the middle."""
        self.tell("replay")
        (self.folder / "marks" / "mended").touch()
        if self.chance.random() < 0.5:
            running = self.test.start("dlq", "replay", self.ledger())
            time.sleep(self.chance.random() * 0.3)
            running.process.kill()
            result = running.wait(WITHIN)
            self.outputs.append((running.paths[0].read_bytes(), True))
            self.tell(f"exit {result.exit}")
        running = self.test.start("dlq", "replay", self.ledger())
        result = running.wait(WITHIN)
        self.outputs.append((running.paths[0].read_bytes(), False))
        self.test.assertIn(result.exit, (0, 3), result.err)
        self.model.mend()
        Oracle(self.model, self.folder, self.outputs).judge_replay()

    def in_peace(self):
        self.tell("in peace")
        code = self.ended(self.start(calm=True))
        self.test.assertIn(code, (0, 3))
        self.oracle = Oracle(self.model, self.folder, self.outputs)
        self.oracle.judge()

    def story(self):
        return (f"seed {self.model.seed}\n" + "\n".join(self.told) + "\n"
                + (self.folder / "pipeline.yaml").read_text())
