#!/usr/bin/env python3
"""Puts the async layer beside its peers: one run, one table, CPU time.

    bench/compare.py [--rounds 5] [--only W1,W2] [--save] [--no-install]

Builds brigade's benchmarks and the peers' programs (bench/peers), runs each cell in a fresh process
on one CPU (on two, by the wall clock, where the row says so), all programs of a workload in turn,
and prints the medians. --save writes the table into
bench/RESULTS.md and the picture bench/async.svg. A peer whose compiler or library is missing and
cannot be installed is left out with one line.

`bare loop` is bench/peers/prototype.cpp; brigade is to stay below 1.8 times its figure.
"""
import argparse
import datetime
import os
import pathlib
import statistics
import subprocess
import sys

from compare_peers import build_all
from compare_picture import picture

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "bench"
BOUND = 1.8


class Workload:
    """One row: what brigade runs, what it must reach and what it is meant to reach."""

    def __init__(self, name, program, must, stretch, what, heap=False, bound=True, threads=1):
        self.name, self.program, self.heap, self.threads = name, program, heap, threads
        self.must, self.stretch, self.what, self.bound = must, stretch, what, bound

    @property
    def title(self):
        name = f"{self.threads}x {self.name}" if self.threads > 1 else self.name
        return name + (" heap" if self.heap else "")


WORKLOADS = [
    Workload("W1", "queue", 40, 30, "one producer, one consumer, room for 1"),
    Workload("W2", "queue", 14, 9, "one producer, one consumer, room for 1024"),
    Workload("W2b", "queue", 6, 4.5, "the same, taken in batches"),
    Workload("W3", "queue", 16, 11, "one producer, eight consumers, room for 64, joined"),
    Workload("W5", "queue", 50, 32, "a source and three stages of four, room for 64"),
    Workload("W1", "queue", 60, None, "", heap=True),
    Workload("W2", "queue", 40, 32, "", heap=True),
    Workload("W3", "queue", None, None, "", heap=True),
    Workload("W5", "queue", 80, 55, "", heap=True),
    Workload("W4", "shared_queue", 40, 25, "four producers, four consumers, room for 64: two "
             "threads, wall time", threads=2),
    Workload("W5", "shared_queue", 90, 55, "as W5, half of each stage on a thread: wall time",
             threads=2),
    Workload("W6a", "task", 145, 110, "a task that does nothing, in a group"),
    Workload("W6aj", "task", 260, 190, "the same, its handle kept and its result taken"),
    Workload("W6b", "task", None, None, "a task that yields once, in a group"),
    Workload("W6bj", "task", 300, 230, "the same, its handle kept and its result taken"),
    Workload("W6m", "task", 288, 216, "bytes of a task that waits for an item", bound=False),
    Workload("W7", "timer", 1000, 600, "a task that sleeps 0 to 100 ms, of a million"),
    Workload("W7b", "timer", 100, 60, "a deadline set and lifted, beside a thousand"),
    Workload("W7bto", "timer", None, None, "a timeout around a coroutine that ends at once"),
    Workload("W8", "cancel", 150, 60, "a waiting task cancelled: an empty ticket", bound=False),
    Workload("W8x", "cancel", 2000, 1600, "a waiting task cancelled: an exception", bound=False),
]


def run_cell(command, workload):
    """CPU nanoseconds an item, wall time on several threads; None when the program does not have
    the workload."""
    cpus = sorted(os.sched_getaffinity(0))[-workload.threads:]
    done = subprocess.run(["taskset", "-c", ",".join(map(str, cpus)), *command(workload)],
                          capture_output=True, text=True, timeout=300)
    if done.returncode == 2:
        return None
    if done.returncode != 0:
        sys.exit(f"{workload.title}: {done.args} ended with {done.returncode}\n{done.stderr}")
    wall, cpu = done.stdout.split()
    return float(cpu if workload.threads == 1 else wall)


def run_all(programs, workloads, rounds):
    """{(title, program): [figures]}; the programs of a workload follow each other in each round."""
    figures = {}
    missing = set()
    for number in range(1, rounds + 1):
        for workload in workloads:
            for name, command in programs.items():
                key = (workload.title, name)
                if key in missing:
                    continue
                figure = run_cell(command, workload)
                if figure is None:
                    missing.add(key)
                else:
                    figures.setdefault(key, []).append(figure)
        print(f"round {number} of {rounds} done", file=sys.stderr)
    return figures


def text_of(figure):
    if figure is None:
        return "–"
    return f"{figure:.1f}" if figure < 100 else f"{figure:,.0f}"


def spread_of(values):
    if not values:
        return "–"
    return f"**{text_of(statistics.median(values))}** {text_of(min(values))}–{text_of(max(values))}"


class Row:
    """A workload with the medians of all who ran it."""

    def __init__(self, workload, figures, programs):
        self.workload = workload
        self.values = {name: figures.get((workload.title, name)) for name in programs}
        self.medians = {name: statistics.median(values)
                        for name, values in self.values.items() if values}
        self.own = self.medians.get("brigade")
        self.bare = self.medians.get("bare loop")
        peers = {name: median for name, median in self.medians.items()
                 if name not in ("brigade", "bare loop")}
        self.best = min(peers, key=peers.get) if peers else None

    def verdict(self):
        """What is reached: stretch, must, or nothing; and the ratio to the bare loop."""
        work = self.workload
        reached = []
        if work.stretch and self.own <= work.stretch:
            reached.append("stretch")
        elif work.must:
            reached.append("must" if self.own <= work.must else "above must")
        if work.bound and self.bare and self.own > BOUND * self.bare:
            reached.append(f"above {BOUND}x")
        return ", ".join(reached) or "–"

    def cells(self):
        work = self.workload
        best = "–" if self.best is None else f"{self.best} {text_of(self.medians[self.best])}"
        ahead = "–" if self.best is None else f"{self.medians[self.best] / self.own:.1f}x"
        bare = "–" if self.bare is None else f"{self.own / self.bare:.2f}"
        return [work.title, spread_of(self.values["brigade"]), text_of(self.bare), bare, best,
                ahead, text_of(work.must), text_of(work.stretch), self.verdict()]


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def report(rows, programs, left_out, rounds):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                            capture_output=True).stdout.strip()
    rows = [row for row in rows if row.own is not None]
    head = ["", "brigade", "bare loop", "ratio", "best peer", "brigade is faster by", "must",
            "stretch", "reached"]
    peers = [name for name in programs if name != "brigade"]
    all_rows = [[row.workload.title] + [spread_of(row.values[name]) for name in peers]
                for row in rows]
    legend = "\n".join(f"- {work.title}: {work.what}" for work in WORKLOADS if work.what)
    missing = "\n".join(f"- {line}" for line in left_out)
    return f"""Written by `bench/compare.py --save` at {commit}, {datetime.date.today()}:
CPU nanoseconds an item (bytes for W6m) on one CPU, wall nanoseconds for the rows of two threads
(2x), a fresh process a cell, **median** and range of {rounds} rounds in which the programs take
turns. `ratio` is brigade divided by the bare loop.

![The same as a picture](async.svg)

{table(head, [row.cells() for row in rows])}

{table([""] + peers, all_rows)}

{legend}
- heap: the item is an object of 64 bytes on the heap

Left out:

{missing}
"""


def save(text, rows):
    path = HERE / "RESULTS.md"
    begin, end = "<!-- async: begin -->\n", "<!-- async: end -->\n"
    whole = path.read_text(encoding="utf-8")
    if begin not in whole:
        whole += f"\n## The async layer and its peers\n\n{begin}{end}"
    before, _, rest = whole.partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(before + begin + text + end + after, encoding="utf-8")
    (HERE / "async.svg").write_text(picture(rows), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description="brigade's async layer beside its peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="workloads, as W1,W2; all when not given")
    parser.add_argument("--save", action="store_true", help="write RESULTS.md and async.svg")
    parser.add_argument("--no-install", action="store_true", help="install no packages")
    given = parser.parse_args()
    only = given.only.split(",") if given.only else None
    workloads = [work for work in WORKLOADS if only is None or work.name in only]
    programs, left_out = build_all(ROOT, BUILD, install=not given.no_install)
    figures = run_all(programs, workloads, given.rounds)
    rows = [Row(work, figures, programs) for work in workloads]
    text = report(rows, programs, left_out, given.rounds)
    print(text)
    if given.save:
        save(text, rows)


if __name__ == "__main__":
    main()
