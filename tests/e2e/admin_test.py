"""The admin endpoint: it tells the truth, also of a run that is stuck, and nobody can wear it down.

Only the standard library speaks HTTP here, and plain sockets where HTTP is not what is sent.
"""
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import time

import brigade_e2e
from brigade_e2e import numbers, python, wait_until

PATHS = ("/livez", "/readyz", "/metrics", "/status")
CONNECTIONS = 1000
SPINS = "last(range(1e12))"


class AdminTest(brigade_e2e.BrigadeTest):
    def pipeline(self, admin=None, stages=(), **keys):
        """Numbered items, fifty a second, without an end."""
        self.write_pipeline(
            name="service", admin={"listen": "127.0.0.1:0", **(admin or {})},
            **{"source": {"generate": {"json": '{"n": {n}}', "every": "20ms"}},
               "stages": list(stages), "sink": {"sqlite": {"file": "out.db", "table": "numbers"}},
               "stop_timeout": "2s", **keys})

    def start_listening(self, env=None, **pipeline):
        """A run, and the port it listens on."""
        self.pipeline(**pipeline)
        running = self.start("run", "pipeline.yaml", "--report", self.folder / "report.json",
                             env=env)
        said = r"admin endpoint: http://[^/]+:(\d+)/"
        running.wait_for_words(said, 10, "the address of the admin endpoint")
        return running, int(re.search(said, running.err())[1])

    def ask(self, port, path, method="GET", at="127.0.0.1", **headers):
        """(status, text) of one request on a connection of its own."""
        connection = http.client.HTTPConnection(at, port, timeout=20)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self, port):
        return json.loads(self.ask(port, "/status")[1])

    def wait_for(self, port, path, wanted, within=15):
        """The text of the first answer with that status."""
        def answered():
            status, text = self.ask(port, path)
            return text if status == wanted else None
        return wait_until(answered, within, f"{path} to be {wanted}")

    def metrics(self, port):
        """{(name, label text): value}"""
        values = {}
        for line in self.ask(port, "/metrics")[1].splitlines():
            match = re.fullmatch(r"([a-z_]+)\{(.*)\} (\S+)", line)
            if match:
                values[match[1], match[2]] = float(match[3])
            else:
                self.assertRegex(line, r"^# (HELP|TYPE) brigade_")
        return values

    def wait_for_items(self, port, count):
        wait_until(lambda: self.status(port)["identity"]["delivered"] >= count, 20,
                   f"{count} items to be delivered")

    def end(self, running, exit_code=0):
        running.signal(signal.SIGTERM)
        result = running.wait(20)
        self.assert_exit(result, exit_code)
        return result

    def test_tells_how_a_run_goes(self):
        running, port = self.start_listening(stages=[{"jq": ".", "workers": 3}])
        self.assertEqual(self.wait_for(port, "/readyz", 200), "ready\n")
        self.wait_for_items(port, 20)
        self.assertEqual(self.ask(port, "/livez"), (200, "alive\n"))
        seen = self.metrics(port)
        taken = seen["brigade_items_taken_total", 'pipeline="service"']
        passed = seen["brigade_items_total", 'pipeline="service",stage="jq",outcome="passed"']
        self.assertGreaterEqual(taken, passed)
        self.assertGreaterEqual(passed, 20)
        self.assertEqual(seen["brigade_workers", 'pipeline="service",stage="jq"'], 3)
        self.assertEqual(seen["brigade_queue_capacity", 'pipeline="service",stage="jq"'], 64)
        self.assertGreater(seen["brigade_end_to_end_seconds_count", 'pipeline="service"'], 0)
        status = self.status(port)
        identity = status["identity"]
        self.assertEqual(identity["taken"], sum(identity[key] for key in
                                                (*brigade_e2e.OUTCOMES, "in_flight")))
        self.assertEqual((status["phase"], status["pauses"]), ("running", []))
        self.assertEqual([stage["name"] for stage in status["stages"]], ["jq", "sqlite"])
        self.assertEqual(self.ask(port, "/nothing")[0], 404)
        self.assertEqual(self.ask(port, "/metrics", "HEAD"), (200, ""))
        self.assertEqual(self.ask(port, "/status", "DELETE")[0], 405)
        result = self.end(running)
        report = self.checked_report(self.folder / "report.json", result)
        self.assertGreaterEqual(report["taken"], identity["taken"])
        with self.assertRaises(ConnectionError):
            self.ask(port, "/livez")

    def test_is_not_ready_from_the_first_signal_on_and_alive_to_the_end(self):
        self.write("hang.py", "import sys, time\nfor line in sys.stdin: time.sleep(1000)\n")
        stage = {"exec": python(self.folder / "hang.py"), "name": "cook"}
        running, port = self.start_listening(stages=[stage], stop_timeout="3s")
        self.wait_for(port, "/readyz", 200)
        wait_until(lambda: self.status(port)["stages"][0]["workers"]["busy"], 10, "a busy worker")
        running.signal(signal.SIGTERM)
        self.assertEqual(self.wait_for(port, "/readyz", 503, within=2), "not ready: draining\n")
        self.assertEqual(self.ask(port, "/livez")[0], 200)
        self.assert_exit(running.wait(20), 5)

    def test_names_the_handler_that_holds_up_everything(self):
        self.write("hang.py", "import sys, time\nfor line in sys.stdin: time.sleep(1000)\n")
        stage = {"exec": python(self.folder / "hang.py"), "name": "cook", "timeout": "none"}
        running, port = self.start_listening(stages=[stage], admin={"stuck_after": "2s"},
                                             stop_timeout="1s")
        self.assertEqual(self.ask(port, "/livez")[0], 200)
        why = self.wait_for(port, "/livez", 503)
        self.assertRegex(why, r"^stuck: .*stage 'cook' has generate:1 in work since \d+ s")
        self.assertFalse(self.status(port)["live"]["good"])
        self.assertEqual(self.ask(port, "/readyz")[0], 200)
        self.end(running, 5)

    def test_is_patient_as_long_as_the_timeout_of_a_stage(self):
        self.write("hang.py", "import sys, time\nfor line in sys.stdin: time.sleep(1000)\n")
        stage = {"exec": python(self.folder / "hang.py"), "name": "cook", "timeout": "30s"}
        running, port = self.start_listening(stages=[stage], admin={"stuck_after": "1s"},
                                             stop_timeout="1s")
        wait_until(lambda: self.metrics(port)["brigade_stalled_seconds",
                                              'pipeline="service"'] > 2, 15, "a stall")
        self.assertEqual(self.ask(port, "/livez"), (200, "alive\n"))
        self.end(running, 5)

    # What blocks the loop's thread must not make the endpoint deaf.
    def test_answers_while_the_loop_spins(self):
        running, port = self.start_listening(
            stages=[{"jq": f"if .n == 30 then {SPINS} else . end"}],
            admin={"stuck_after": "2s"}, stop_timeout="1s")
        why = self.wait_for(port, "/livez", 503, within=30)
        self.assertIn("held the loop's thread for", why)
        began = time.monotonic()
        for path in PATHS:
            self.assertIn(self.ask(port, path)[0], (200, 503))
        self.assertLess(time.monotonic() - began, 2 * brigade_e2e.PATIENCE,
                        "only the first asks a loop that does not answer")
        self.assertGreater(self.status(port)["age_seconds"], 1)
        running.signal(signal.SIGTERM)
        self.assertEqual(self.wait_for(port, "/readyz", 503, within=2), "not ready: draining\n")
        self.assert_exit(running.wait(20), 1)  # the watchdog's

    def test_says_that_the_sink_is_down(self):
        running, port = self.start_listening(admin={"stuck_after": "1s"}, give_up_after="never")
        self.wait_for_items(port, 5)
        lock = sqlite3.connect(self.folder / "out.db", timeout=20, isolation_level=None)
        lock.execute("begin exclusive")
        why = self.wait_for(port, "/readyz", 503, within=30)
        self.assertRegex(why, r"^not ready: paused: sink_down: sink 'sqlite' is down: .*locked")
        status, text = self.ask(port, "/livez")
        self.assertEqual(status, 200, text)
        status = self.status(port)
        self.assertEqual(status["connections"][1]["state"], "down")
        self.assertEqual(status["pauses"][0]["reason"], "sink_down")
        self.assertEqual(self.metrics(port)["brigade_paused",
                                            'pipeline="service",reason="sink_down"'], 1)
        lock.rollback()
        lock.close()
        self.wait_for(port, "/readyz", 200, within=30)
        self.end(running)

    def test_says_that_there_is_no_room_for_dead_letters(self):
        running, port = self.start_listening(
            admin={"stuck_after": "1s"}, stages=[{"jq": 'error("bad")'}],
            dead_letters={"file": "letters.ndjson", "max": "1KiB"}, window={"items": 20},
            stop_timeout="1s")
        wait_until(lambda: "paused: dead_letters_full: " in self.ask(port, "/readyz")[1], 20,
                   "/readyz to say that there is no room for dead letters")
        wait_until(lambda: self.metrics(port)["brigade_stalled_seconds",
                                              'pipeline="service"'] > 2, 20, "a stall")
        self.assertEqual(self.ask(port, "/livez")[0], 200)
        running.signal(signal.SIGTERM)
        running.wait(20)

    def test_is_not_for_web_pages(self):
        running, port = self.start_listening()
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example"):
            status, text = self.ask(port, "/status", Host=host)
            self.assertEqual(status, 403, host)
            self.assertIn("Host header", text)
            self.assertNotIn("service", text)
        for host in ("localhost", f"localhost:{port}", "127.0.0.1", "[::1]"):
            self.assertEqual(self.ask(port, "/status", Host=host)[0], 200, host)
        self.end(running)

    def test_wants_a_token_where_others_can_reach_it(self):
        self.pipeline(admin={"listen": "0.0.0.0:0"})
        refused = self.brigade("run", "pipeline.yaml")
        self.assert_exit(refused, 78)
        self.assertIn("can be reached by others: give it a 'token'", refused.err)
        admin = {"listen": "0.0.0.0:0", "token": "${ADMIN_TOKEN}"}
        running, port = self.start_listening(admin=admin, env={"ADMIN_TOKEN": "s3cret"})
        for path in PATHS:
            self.assertEqual(self.ask(port, path)[0], 401)
            self.assertEqual(self.ask(port, path, Authorization="Bearer s3cre")[0], 401)
        self.assertEqual(self.ask(port, "/livez", Authorization="Bearer s3cret")[0], 200)
        self.assertNotIn("s3cret", running.err())
        self.end(running)

    def test_is_called_by_the_address_that_a_request_came_to(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("there is no IPv6 here")
        running, port = self.start_listening(admin={"listen": "[::]:0", "token": "s3cret"})
        for at in ("::1", "127.0.0.1", "127.0.0.2"):
            answer = self.ask(port, "/livez", at=at, Authorization="Bearer s3cret")
            self.assertEqual(answer[0], 200, (at, answer))
        self.end(running)

    def test_takes_nothing_when_its_port_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.pipeline(admin={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
            result = self.brigade("run", "pipeline.yaml")
        self.assert_exit(result, 1)
        self.assertIn("something else does", result.err)
        self.assertFalse(self.ledger("service").exists())
        self.assertFalse((self.folder / "out.db").exists())

    def test_is_not_worn_down(self):
        running, port = self.start_listening()
        self.wait_for(port, "/readyz", 200)
        crowd = []
        for number in range(CONNECTIONS):
            one = socket.create_connection(("127.0.0.1", port), timeout=20)
            if number % 4 == 1:
                one.sendall(b"GET /livez HTTP/1.1\r\nHost: loc")  # and never the rest
            elif number % 4 == 2:
                one.sendall(os.urandom(200))
            elif number % 4 == 3:
                one.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            crowd.append(one)
        for path in PATHS:
            self.assertEqual(self.ask(port, path)[0], 200, path)
        held = len(os.listdir(f"/proc/{running.pid}/fd"))
        self.assertLess(held, 150, "most of the crowd was sent away")
        for one in crowd:
            one.close()
        self.assertEqual(self.ask(port, "/livez"), (200, "alive\n"))
        result = self.end(running)
        report = self.checked_report(self.folder / "report.json", result)
        self.assertEqual(report["taken"], report["delivered"])

    # It would keep the port when the program has gone.
    def test_is_not_inherited_by_handlers(self):
        self.write("fds.py", "import json, os, sys\n"
                   "for line in sys.stdin:\n"
                   "    links = [os.readlink(f'/proc/self/fd/{fd}') for fd in range(3, 200)\n"
                   "             if os.path.lexists(f'/proc/self/fd/{fd}')]\n"
                   "    given = json.loads(line)\n"
                   "    answer = {'id': given['id'], 'ok': {'links': links}}\n"
                   "    print(json.dumps(answer), flush=True)\n")
        self.write("numbers.ndjson", numbers(3))
        self.pipeline(source={"file": {"path": "numbers.ndjson", "format": "ndjson"}},
                      stages=[{"exec": python(self.folder / "fds.py")}],
                      sink={"file": {"path": "links.ndjson"}})
        self.assert_exit(self.brigade("run", "pipeline.yaml"), 0)
        self.assertNotIn("socket:", (self.folder / "links.ndjson").read_text())


if __name__ == "__main__":
    brigade_e2e.main()
