"""Times the program on whole jobs: python3 bench/program_bench.py BRIGADE FOLDER [ITEMS]

parse: an Apache log through `parse: combined` into NDJSON; CPU seconds a million lines.

Each job checks that as many items came out as went in, each once.
"""
import json
import pathlib
import resource
import subprocess
import sys
import time

LINE = ('203.0.113.{host} - - [17/May/2015:10:05:{second:02d} +0000] "GET /orders/{n}?page=2 '
        'HTTP/1.1" {status} {bytes} "http://example.com/start" "Mozilla/5.0 (X11; Linux x86_64) '
        'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.77 Safari/537.36"\n')

def run(brigade, file):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run([brigade, "run", str(file), "--progress", "none"],
                          stderr=subprocess.PIPE, text=True, timeout=600)
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode != 0:
        sys.exit(f"{file}: exit {done.returncode}\n{done.stderr}")
    return wall, cpu


def check(path, items, key):
    seen = [json.loads(line)[key] for line in open(path, encoding="utf-8")]
    if len(seen) != items or len(set(seen)) != items:
        sys.exit(f"{path}: {len(seen)} items, {len(set(seen))} different, {items} expected")


def parse(brigade, folder, items):
    with open(folder / "access.log", "w", encoding="ascii") as log:
        for n in range(items):
            log.write(LINE.format(host=n % 250, second=n % 60, n=n, status=200, bytes=n))
    (folder / "parse.yaml").write_text("""
source: { file: { path: access.log } }
stages: [ { parse: combined } ]
sink: { file: { path: parsed.ndjson } }
""")
    wall, cpu = run(brigade, folder / "parse.yaml")
    check(folder / "parsed.ndjson", items, "path")
    million = items / 1e6
    print(f"file -> parse combined -> NDJSON: {cpu / million:.2f} CPU-s a million lines, "
          f"{items / wall:.0f} lines/s ({items} lines)")


if __name__ == "__main__":
    program, where, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    parse(program, where, count)
