#!/usr/bin/env python3
"""What `cmake --install` leaves behind is found by find_package and by pkg-config, and works.

    install_test.py BUILD [COMPILER]

Installs the components whose libraries are built in BUILD into a folder of its own, moves that to
another place, and compiles and runs projects outside the tree against it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD, COMPILER = None, "g++"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def components():
    """Those whose libraries are there; a header-only one has none."""
    files = (BUILD / "install").glob("brigade-*.cmake")
    known = {path.stem.removeprefix("brigade-") for path in files} - {"config", "config-version"}
    return sorted(name for name in known
                  if name == "asio" or (BUILD / f"src/libbrigade_{name}.a").exists())


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = Path(cls.folder.name)
        cls.components = components()
        for name in cls.components:
            run("cmake", "--install", BUILD, "--component", name, "--prefix", cls.root / "first")
        cls.prefix = (cls.root / "first").rename(cls.root / "moved")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def configure(self, wanted, prefix=None, name="build"):
        run("cmake", "-G", "Ninja", "-S", HERE / "installed", "-B", self.root / name,
            f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_PREFIX_PATH={prefix or self.prefix}",
            f"-DWANTED={';'.join(wanted)}")
        return self.root / name

    def test_find_package_gives_every_component(self):
        self.assertLessEqual({"async", "asio"}, set(self.components))
        build = self.configure(self.components)
        run("cmake", "--build", build)
        programs = sorted(build.glob("uses_*"))
        self.assertGreaterEqual(len(programs), 2)
        for program in programs:
            run(program, timeout=20)

    def test_pkg_config_gives_every_component(self):
        [folder] = self.prefix.rglob("pkgconfig")
        environment = {**os.environ, "PKG_CONFIG_PATH": str(folder)}
        sources = [name for name in self.components if (HERE / f"installed/{name}.cpp").exists()]

        def compile_one(name):
            flags = run("pkg-config", "--cflags", "--libs", f"brigade-{name}", env=environment)
            self.assertNotIn("first", flags)
            program = self.root / f"by_pkg_config_{name}"
            run(COMPILER, "-std=c++20", HERE / f"installed/{name}.cpp", *flags.split(), "-o",
                program)
            run(program, timeout=20)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(compile_one, sources))
        for name in self.components:
            package = "brigade-" + name.replace("_", "-")
            self.assertIn("-lbrigade_async", run("pkg-config", "--libs", package, env=environment))

    def test_async_asks_for_nothing_but_threads(self):
        cache = self.configure(["async"], name="async_alone") / "CMakeCache.txt"
        found = cache.read_text(encoding="utf-8")
        for package in ("Boost", "SQLite3", "fmt", "PCRE2", "JQ_LIBRARY"):
            self.assertNotIn(package, found)

    def test_a_component_that_is_missing_is_named(self):
        with self.assertRaisesRegex(AssertionError, "component connect_abacus is not installed"):
            self.configure(["async", "connect_abacus"], name="missing")

    def test_a_component_says_what_it_needs(self):
        lacking = self.root / "lacking"
        shutil.copytree(self.prefix, lacking)
        [file] = lacking.rglob("brigade-asio.cmake")
        file.write_text(file.read_text(encoding="utf-8").replace("Boost 1.81", "Boost 99.0"),
                        encoding="utf-8")
        with self.assertRaisesRegex(AssertionError, "asio needs Boost 99.0, which was not found"):
            self.configure(["asio"], prefix=lacking, name="lacking_build")
        self.configure(["async"], prefix=lacking, name="async_of_lacking")

    def test_the_lint_comes_along_and_reads_other_projects(self):
        project = self.root / "project"
        (project / "build").mkdir(parents=True)
        (project / "serve.cpp").write_text(
            "#include <brigade/async/task.hpp>\n#include <string>\n#include <utility>\n"
            "brigade::task<> cook(const std::string& dish);\n"
            "brigade::task<> serve() {\n"
            "  auto dish = cook(\"soup\");\n  co_await std::move(dish);\n}\n")
        (project / "build/compile_commands.json").write_text(json.dumps([{
            "directory": str(project), "file": "serve.cpp",
            "command": f"g++ -std=c++20 -I{self.prefix}/include -c serve.cpp"}]))
        done = subprocess.run([self.prefix / "bin/brigade-coroutine-lint", "-p", "build"],
                              cwd=project, capture_output=True, text=True)
        if done.returncode == 77:
            self.skipTest(done.stdout)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("serve.cpp:6: a task that dangles: temporary", done.stdout)
        self.assertIn("1 files, 1 hits", done.stdout)


if __name__ == "__main__":
    BUILD = Path(sys.argv.pop(1)).resolve()
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        COMPILER = sys.argv.pop(1)
    unittest.main()
