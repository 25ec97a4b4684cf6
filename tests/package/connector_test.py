#!/usr/bin/env python3
"""Connectors that somebody else wrote: examples/connector, built against what is installed.

    connector_test.py BUILD [COMPILER]

Installs the libraries built in BUILD into a folder of its own, builds the example there, lets its
connectors pass the suite, and takes items through its program.
"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD, COMPILER = None, "g++"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


class Courier(threading.Thread):
    """Takes items until it has so many: written from the contract in courier_sink.hpp."""

    def __init__(self, wanted):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(30)
        self.port = self.server.getsockname()[1]
        self.wanted, self.items = wanted, []

    def run(self):
        caller, _ = self.server.accept()
        with self.server, caller, caller.makefile("rwb") as wire:
            while len(self.items) < self.wanted:
                size = wire.readline()
                if not size:
                    break
                self.items.append(wire.read(int(size)))
                wire.write(b"ok\n")
                wire.flush()


class Connector(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = Path(cls.folder.name)
        for name in ("async", "pipeline", "testing"):
            run("cmake", "--install", BUILD, "--component", name, "--prefix", root / "brigade")
        cls.build = root / "build"
        run("cmake", "-G", "Ninja", "-S", ROOT / "examples/connector", "-B", cls.build,
            f"-DCMAKE_CXX_COMPILER={COMPILER}", f"-DCMAKE_PREFIX_PATH={root / 'brigade'}")
        run("cmake", "--build", cls.build, "-j", "2")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_passes_the_suite(self):
        said = run(self.build / "suite", timeout=300)
        print(said)
        numbers = re.findall(r"^(\w+ \w+): (\d+) of \d+ cases executed, 0 failed", said, re.M)
        self.assertEqual([name for name, _ in numbers], ["source spool", "sink courier"])
        for name, executed in numbers:
            self.assertGreaterEqual(int(executed), 20, name)

    def test_takes_items_from_the_folder_to_the_courier(self):
        courier = Courier(3)
        courier.start()
        with tempfile.TemporaryDirectory() as place:
            spool = Path(place, "spool")
            spool.mkdir()
            for number in (1, 2, 3):
                (spool / f"{number}.item").write_bytes(b"item %d" % number)
            with subprocess.Popen([self.build / "deliver", spool, str(courier.port)], cwd=place,
                                  stdout=subprocess.PIPE, text=True) as program:
                deadline = time.monotonic() + 30
                while list(spool.glob("*.item")) and time.monotonic() < deadline:
                    time.sleep(0.01)
                program.send_signal(signal.SIGTERM)
                said = program.communicate(timeout=30)[0]
            self.assertEqual(list(spool.iterdir()), [])
        courier.join(30)
        self.assertEqual(courier.items, [b"item 1", b"item 2", b"item 3"])
        self.assertEqual(program.returncode, 0, said)


if __name__ == "__main__":
    BUILD = Path(sys.argv.pop(1)).resolve()
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        COMPILER = sys.argv.pop(1)
    unittest.main()
