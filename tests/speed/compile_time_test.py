"""A file that includes the whole async layer compiles fast: compile_time_test.py COMPILER INCLUDES

CPU time of the compiler at -O0, the best of three, since a busy machine only ever adds to it.
"""
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

LIMIT_SECONDS = 1.5


def compile_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime


def main(compiler, includes):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "all.cpp"
        source.write_text("#include <brigade/async.hpp>\n", encoding="ascii")
        command = [compiler, "-std=c++20", "-O0", "-I", includes, "-c", str(source), "-o",
                   os.devnull]
        best = min(compile_seconds(command) for _ in range(3))
    print(f"brigade/async.hpp compiles in {best:.2f} s of CPU time, at most {LIMIT_SECONDS}")
    sys.exit(0 if best <= LIMIT_SECONDS else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
