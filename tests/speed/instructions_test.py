"""Instructions an item of the queue workloads: instructions_test.py PROGRAM

PROGRAM is bench/queue_bench.cpp built with -O2. callgrind counts the instructions of a run with
300,000 items and of one with 100,000; the difference is what 200,000 items cost, start and end of
the process taken out. The count is the same on every machine and under any load.
"""
import re
import shutil
import subprocess
import sys

LIMITS = {"W1": 300, "W2": 110, "W3": 130, "W5": 380}
FEW, MANY = 100_000, 300_000


def instructions(program, workload, items):
    done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                           program, workload, "int", str(items), "slow"], capture_output=True,
                          text=True, timeout=250)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"{workload}: exit {done.returncode}\n{done.stderr}")
    return int(found[1])


def main(program):
    if not shutil.which("valgrind"):
        sys.exit("needs valgrind; scripts/setup test installs it")
    over = 0
    for workload, limit in LIMITS.items():
        spent = instructions(program, workload, MANY) - instructions(program, workload, FEW)
        an_item = spent / (MANY - FEW)
        verdict = "" if an_item <= limit else "  OVER THE LIMIT"
        over += bool(verdict)
        print(f"{workload}: {an_item:.1f} instructions an item, at most {limit}{verdict}")
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main(sys.argv[1])
