"""Times stage `exec` beside its peers: python3 bench/exec_bench.py BRIGADE FOLDER [ROUNDS]

once:       10,000 items, a process each, on two workers; beside `xargs -P2 -n1` and, where it is
            installed, GNU parallel. The command is a C program that prints its argument.
persistent: items through two children with 64 in flight: an echo in C, a bare loop in Python that
            parses and writes JSON, and the helpers of sdk/.

Peers take turns, a round each; the best round counts, for others may use the machine meanwhile.
Each round checks that as many items came out as went in, each once. CPU is that of the program
and all of its children.
"""
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SDK = HERE.parent / "sdk"
ONCE_ITEMS, PERSISTENT_ITEMS = 10_000, 400_000

HANDLERS = {
    "bare.py": """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"id": request["id"], "ok": request["item"]}), flush=True)
""",
    "helper.py": """
import sys
sys.path.insert(0, %r)
from brigade_handler import handle
handle(lambda item: item)
""" % str(SDK / "python"),
    "helper.js": """
const { handle } = require(%s);
handle((item) => item);
""" % json.dumps(str(SDK / "node" / "brigade_handler.js")),
}


def timed(command, output=None):
    """Wall and CPU seconds of a command and of all it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with open(output or os.devnull, "w", encoding="utf-8") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=900)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def check(path, items):
    with open(path, encoding="utf-8") as lines:
        seen = [json.loads(line) for line in lines]
    seen = [value["n"] if isinstance(value, dict) else value for value in seen]
    if sorted(seen) != list(range(1, items + 1)):
        sys.exit(f"{path}: {len(seen)} items, {len(set(seen))} different, {items} expected")


def prepare(folder):
    for name in ("echo", "print"):
        subprocess.run(["cc", "-O2", "-o", folder / name, HERE / "peers" / f"{name}.c"], check=True)
    for name, text in HANDLERS.items():
        (folder / name).write_text(text)
    (folder / "numbers").write_text("".join(f"{n}\n" for n in range(1, ONCE_ITEMS + 1)))
    for name, items, rest in (("few", ONCE_ITEMS, ""),
                              ("many", PERSISTENT_ITEMS, ', "text": "an item of ordinary size"')):
        with open(folder / f"{name}.ndjson", "w", encoding="ascii") as file:
            file.writelines(f'{{"n": {n}{rest}}}\n' for n in range(1, items + 1))


def pipeline(brigade, folder, name, source, stage, items):
    (folder / f"{name}.yaml").write_text(json.dumps({
        "name": name, "state": "state", "source": {"file": {"path": source, "format": "ndjson"}},
        "stages": [{"workers": 2, "queue": {"size": 256}, **stage}],
        "sink": {"file": {"path": f"{name}.out", "format": "ndjson"}}}))

    def one_round():
        shutil.rmtree(folder / "state", ignore_errors=True)
        (folder / f"{name}.out").unlink(missing_ok=True)
        spent = timed([brigade, "run", folder / f"{name}.yaml", "--progress", "none"])
        check(folder / f"{name}.out", items)
        return spent
    return one_round


def peer(folder, name, command):
    def one_round():
        spent = timed(command, folder / f"{name}.out")
        check(folder / f"{name}.out", ONCE_ITEMS)
        return spent
    return one_round


def best_of(jobs, rounds):
    spent = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            spent[name].append(job())
    return {name: (min(wall for wall, _ in each), min(cpu for _, cpu in each))
            for name, each in spent.items()}


def once(brigade, folder, rounds):
    jobs = {"brigade": pipeline(brigade, folder, "once", "few.ndjson", {
        "exec": {"command": ["./print", "{n}"], "protocol": "once"}}, ONCE_ITEMS)}
    numbers = str(folder / "numbers")
    jobs["xargs -P2 -n1"] = peer(folder, "xargs",
                                 ["xargs", "-a", numbers, "-P2", "-n1", str(folder / "print")])
    if shutil.which("parallel"):
        jobs["GNU parallel -j2"] = peer(folder, "parallel", [
            "parallel", "-a", numbers, "-j2", str(folder / "print")])
    result = best_of(jobs, rounds)
    for name, (wall, cpu) in result.items():
        ratio = wall / result["xargs -P2 -n1"][0]
        print(f"a process an item, {name}: {wall / ONCE_ITEMS * 1e6:.0f} us an item, "
              f"{cpu / ONCE_ITEMS * 1e6:.0f} us CPU; {ratio:.2f} of xargs ({ONCE_ITEMS} items)")


def persistent(brigade, folder, rounds):
    python = sys.executable
    commands = {"C echo": ["./echo"], "Python, a bare loop": [python, "bare.py"],
                "Python, brigade_handler": [python, "helper.py"]}
    if shutil.which("node"):
        commands["Node, brigade_handler"] = ["node", "helper.js"]
    jobs = {name: pipeline(brigade, folder, f"job{number}", "many.ndjson",
                           {"exec": {"command": command, "in_flight": 64}}, PERSISTENT_ITEMS)
            for number, (name, command) in enumerate(commands.items())}
    for name, (wall, cpu) in best_of(jobs, rounds).items():
        print(f"two children, 64 in flight, {name}: {PERSISTENT_ITEMS / wall:,.0f} items/s, "
              f"{cpu / PERSISTENT_ITEMS * 1e6:.1f} us CPU an item ({PERSISTENT_ITEMS} items)")


if __name__ == "__main__":
    program, where = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
    rounds_wanted = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    prepare(where)
    once(program, where, rounds_wanted)
    persistent(program, where, rounds_wanted)
