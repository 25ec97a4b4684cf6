#!/usr/bin/env python3
"""The fault proxy as Python tests use it. What each fault does: tests/testing/fault_proxy_test.cpp.

FAULT_PROXY: the program.
"""
import os
import socket
import subprocess
import unittest

from fault_proxy import FaultProxy


class Wire(unittest.TestCase):
    def setUp(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.wire = FaultProxy(self.server.getsockname()[1])
        self.addCleanup(self.wire.close)

    def connect(self):
        """Both ends of a new connection."""
        client = socket.create_connection(("127.0.0.1", self.wire.port), timeout=10)
        server, _ = self.server.accept()
        server.settimeout(10)
        self.addCleanup(client.close)
        self.addCleanup(server.close)
        return client, server

    def test_passes_on_and_counts(self):
        client, server = self.connect()
        client.sendall(b"ping")
        self.assertEqual(server.recv(4, socket.MSG_WAITALL), b"ping")
        server.sendall(b"answer")
        self.assertEqual(client.recv(6, socket.MSG_WAITALL), b"answer")
        self.assertEqual(self.wire.counts(), {"connections": 1, "open": 1, "to_target": 4,
                                              "from_target": 6, "strikes": 0})

    def test_strikes_as_told(self):
        client, server = self.connect()
        self.wire.strike_after(3, "cut", "to")
        client.sendall(b"abcdef")
        self.assertEqual(server.recv(9, socket.MSG_WAITALL), b"abc")
        client, server = self.connect()
        self.wire.strike("reset")
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        client, server = self.connect()
        self.wire.strike("silence")
        client.sendall(b"x")
        self.wire.heal()
        self.assertEqual(server.recv(1), b"x")
        self.wire.strike("refuse")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.wire.heal()
        self.wire.delay(0.001)
        self.wire.throttle(1_000_000)
        self.wire.strike_next("cut")
        with socket.create_connection(("127.0.0.1", self.wire.port), timeout=10) as client:
            self.assertEqual(client.recv(1), b"")
        self.wire.wait_for(lambda now: now["strikes"] == 5, 10, "the fifth strike")

    def test_says_what_it_does_not_understand_and_goes_on(self):
        for words in (("after", "many", "cut"), ("after", 1, "crash"), ("next", ""), ("hello",),
                      ("after", 1, "cut", "sideways"), ("heal", "me")):
            with self.subTest(words=words), self.assertRaises(ValueError):
                self.wire.say(*words)
        self.connect()

    def test_refuses_what_is_no_port(self):
        for argument in ("", "0", "70000", "http"):
            done = subprocess.run([os.environ["FAULT_PROXY"], argument], capture_output=True,
                                  text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("fault_proxy: ", done.stderr)


if __name__ == "__main__":
    unittest.main()
