"""The sink `http` against a real nginx, and against peers that behave as badly as real ones do.

Environment: BRIGADE_E2E_HTTP_OUTAGE, how many seconds outages last [2]; BRIGADE_E2E_HTTP_KILLS, how
often it is killed [4].
"""
import json
import os
import signal
import sys
import threading
import time

import brigade_e2e
import servers
from brigade_e2e import numbers, query, seeded, wait_until

OUTAGE = float(os.environ.get("BRIGADE_E2E_HTTP_OUTAGE", "2"))
KILLS = int(os.environ.get("BRIGADE_E2E_HTTP_KILLS", "4"))


def numbers_in(body):
    """The items of a body of any form."""
    body = body.strip()
    rows = json.loads(body) if body.startswith("[") else map(json.loads, body.splitlines())
    return [row["n"] for row in rows]


class HttpSink(brigade_e2e.BrigadeTest):
    def nginx(self, **options):
        return servers.at_end(self, servers.Nginx(self.folder, **options))

    def played(self, serve):
        return servers.at_end(self, servers.Played(serve))

    def pipeline(self, url, items=100, batch=None, keys=None, **fields):
        self.write("in.ndjson", numbers(items))
        sink = {"http": {"url": url, **fields}}
        if batch:
            sink["batch"] = batch
        self.write_pipeline(name="sent", source={"file": {"path": "in.ndjson", "format": "ndjson"}},
                            sink=sink, **(keys or {}))

    def delivered_to(self, nginx):
        """Every item of every request that was answered with 200."""
        return sorted(n for one in nginx.noted(200) for n in numbers_in(one["body"]))

    def dead_letters(self):
        return dict((json.loads(payload)["n"], error) for payload, error in query(
            self.ledger("sent"), "select payload, error from dead_letters"))


class NginxTest(HttpSink):
    def test_one_item_a_request_with_its_key_over_few_connections(self):
        nginx = self.nginx()
        self.pipeline(nginx.url(), in_flight=4, token="s3cret", headers={"X-Shop": "main"})
        result, report = self.run_pipeline(expect=0)
        self.assertEqual(report["delivered"], 100)
        requests = nginx.noted()
        self.assertEqual(sorted(json.loads(one["body"])["n"] for one in requests),
                         list(range(1, 101)))
        self.assertEqual(len({one["key"] for one in requests}), 100)
        self.assertTrue(all(one["key"].startswith("sent:file:") for one in requests))
        self.assertEqual({one["token"] for one in requests}, {"Bearer s3cret"})
        self.assertEqual({one["type"] for one in requests}, {"application/json"})
        self.assertLessEqual(len({one["connection"] for one in requests}), 4)
        self.assertNotIn("s3cret", result.err + (self.folder / "report-0.json").read_text())

    def test_batches_of_both_forms(self):
        nginx = self.nginx()
        for form in ("ndjson", "array"):
            self.pipeline(nginx.url("/" + form), items=1000, format=form, batch={"count": 300})
            self.run_pipeline(expect=0, arguments=["--fresh"])
            requests = [one for one in nginx.noted() if one["uri"] == "/" + form]
            self.assertEqual([n for one in requests for n in numbers_in(one["body"])],
                             list(range(1, 1001)))
            self.assertEqual([len(numbers_in(one["body"])) for one in requests],
                             [300, 300, 300, 100])

    def test_each_item_to_an_address_of_its_own(self):
        nginx = self.nginx()
        self.pipeline(nginx.url("/orders/{n}"), items=20, method="PUT")
        self.run_pipeline(expect=0)
        self.assertEqual(sorted((one["method"], one["uri"]) for one in nginx.noted()),
                         sorted(("PUT", f"/orders/{n}") for n in range(1, 21)))

    def test_row_13_a_door_that_is_closed_for_a_while_costs_no_item(self):
        # Guard: meaning_of for a fixed address; without it each item is dead-lettered.
        for status in (403, 404, 503):
            nginx = self.nginx()
            nginx.close_with(status)
            self.pipeline(nginx.url(), items=500)
            running = self.start("run", "pipeline.yaml", "--fresh", "--report", "report.json")
            running.wait_for_words(f"sink 'http' is down.*answered {status}", 10, "the outage")
            time.sleep(OUTAGE)
            self.assertLess(len(nginx.noted()), 10 + 10 * OUTAGE, "it asks now and then")
            nginx.open_again()
            result = running.wait(30)
            self.assert_exit(result, 0)
            report = self.checked_report(self.folder / "report.json", result)
            self.assertEqual(report["delivered"], 500)
            self.assertIn("sink 'http' is back", result.err)
            self.assertEqual(self.delivered_to(nginx), list(range(1, 501)))
            nginx.stop()
            (self.folder / "noted.log").unlink()

    def test_row_19_too_many_requests_hold_the_intake_and_no_memory(self):
        # Guard: 429 is an outage with a rest; without it items would use up their attempts.
        nginx = self.nginx()
        nginx.close_with(429)
        self.pipeline(nginx.url(), items=200_000, format="ndjson",
                      keys={"window": {"items": 2000}})
        running = self.start("run", "pipeline.yaml", "--report", "report.json")
        running.wait_for_words("sink 'http' is down.*answered 429", 10, "the outage")
        time.sleep(0.3)
        before = self.resident(running.pid)
        time.sleep(OUTAGE)
        self.assertLess(self.resident(running.pid), before + 2048, "KiB: nothing is gathered")
        self.assertLess(len(nginx.noted()), 3 + 2 * OUTAGE, "Retry-After: 1 is heeded")
        nginx.open_again()
        result = running.wait(60)
        self.assert_exit(result, 0)
        self.assertEqual(self.delivered_to(nginx), list(range(1, 200_001)))

    @staticmethod
    def resident(pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def test_row_20_a_server_that_goes_and_comes_back(self):
        nginx = self.nginx()
        self.pipeline(nginx.url(), items=20_000, format="ndjson", batch={"count": 50})
        running = self.start("run", "pipeline.yaml", "--report", "report.json")
        for _ in range(2):
            noted = len(nginx.noted(200))
            wait_until(lambda: len(nginx.noted(200)) > noted + 5, 20, "some batches")
            nginx.stop()
            running.wait_for_words("sink 'http' is down", 20, "the outage")
            time.sleep(OUTAGE / 2)
            nginx.start()
            noted = len(nginx.noted(200))
            wait_until(lambda: len(nginx.noted(200)) > noted, 10, "it to go on within 10 s")
        result = running.wait(60)
        self.assert_exit(result, 0)
        report = self.checked_report(self.folder / "report.json", result)
        self.assertEqual(report["delivered"], 20_000)
        self.assertEqual(sorted(set(self.delivered_to(nginx))), list(range(1, 20_001)))

    def answered(self):
        """How many requests nginx has answered with 200 so far."""
        return (self.folder / "noted.log").read_text().count('{"status":200,')

    def requests_a_second(self, seconds):
        began, before = time.monotonic(), self.answered()
        time.sleep(seconds)
        return (self.answered() - before) / (time.monotonic() - began)

    def test_row_20_its_throughput_is_back_ten_seconds_behind_the_server(self):
        nginx = self.nginx()
        self.write_pipeline(  # so few that what is measured is brigade and not the machine
            name="sent", source={"generate": {"json": '{"n": {n}}', "every": "4ms"}},
            sink={"http": {"url": nginx.url()}, "batch": {"within": "5ms"}})
        running = self.start("run", "pipeline.yaml", "--report", "report.json")
        wait_until(lambda: self.answered() > 50, 20, "some answers")
        before = self.requests_a_second(1.5)
        nginx.stop()
        running.wait_for_words("sink 'http' is down", 20, "the outage")
        time.sleep(OUTAGE)
        nginx.start()
        began = time.monotonic()
        wait_until(lambda: self.requests_a_second(0.5) >= 0.95 * before, 10, "95% of what it was")
        print(f"{before:.0f} requests/s; back to 95% {time.monotonic() - began:.1f} s after the "
              "return", file=sys.stderr, flush=True)
        running.signal(signal.SIGTERM)
        result = running.wait(30)
        self.assert_exit(result, 0)
        report = self.checked_report(self.folder / "report.json", result)
        sent = self.delivered_to(nginx)
        self.assertEqual(sorted(set(sent)), list(range(1, report["delivered"] + 1)))

    def test_killed_it_sends_again_what_was_not_recorded(self):
        chance = seeded("http_sink kills")
        nginx, items = self.nginx(), 5000 * KILLS
        self.write("in.ndjson", numbers(items))
        self.write_pipeline(
            name="sent", source={"file": {"path": "in.ndjson", "format": "ndjson"}},
            sink={"http": {"url": nginx.url(), "format": "ndjson"}, "batch": {"count": 100},
                  "rate": "8000/s"})  # so that it is killed in the middle
        for _ in range(KILLS):
            noted = len(nginx.noted(200))
            wanted = noted + chance.randrange(1, 20)
            running = self.start("run", "pipeline.yaml")
            wait_until(lambda: len(nginx.noted(200)) >= wanted or not running.is_running(), 20,
                       "some batches")
            self.assertTrue(running.kill(), "it came to its end before it was killed")
        self.run_pipeline(expect=0)
        sent = self.delivered_to(nginx)
        self.assertEqual(sorted(set(sent)), list(range(1, items + 1)))
        print(f"killed {KILLS} times: {len(sent) - items} items sent twice", flush=True)


class TlsTest(HttpSink):
    def setUp(self):
        super().setUp()
        self.own = servers.Certificates(self.folder)

    def run_against(self, expect, host="localhost", **fields):
        """One run that gives up soon; its result."""
        self.pipeline(self.server.url(host=host), items=20, keys={"give_up_after": "300ms"},
                      **fields)
        result, _ = self.run_pipeline(expect=expect, arguments=["--fresh"])
        return result

    def serve(self, certificate, **options):
        self.server = self.nginx(tls=certificate, **options)

    def test_a_certificate_of_the_own_authority(self):
        self.own.make("host")
        self.serve("host")
        self.run_against(0, ca="ca.pem")
        self.run_against(0, ca="ca.pem", host="127.0.0.1")
        self.assertEqual(len(self.server.noted(200)), 40)

    def test_wrong_certificates_get_no_item(self):
        foreign = servers.Certificates(self.folder, "stranger")
        foreign.make("foreign")
        self.own.make("expired", days=-1)
        self.own.make("other", names="DNS:elsewhere.example")
        for name, why in (("foreign", "unable to get local issuer certificate"),
                          ("expired", "certificate has expired"),
                          ("other", "hostname mismatch")):
            self.serve(name)
            result = self.run_against(1, ca="ca.pem")
            self.assertIn(f"https://localhost:{self.server.port}: its certificate is not to be "
                          f"trusted: {why}", result.err)
            self.assertEqual(self.server.noted(200), [])
            self.server.stop()

    def test_the_system_trusts_nobody_of_ours(self):
        self.own.make("host")
        self.serve("host")
        result = self.run_against(1)
        self.assertIn("its certificate is not to be trusted", result.err)

    def test_a_server_that_wants_a_certificate(self):
        self.own.make("host")
        self.own.make("client", names="DNS:me")
        self.serve("host", client_ca="ca.pem")
        self.run_against(0, ca="ca.pem", client_certificate="client.pem", client_key="client.key")
        self.assertEqual(len(self.server.noted(200)), 20)
        result = self.run_against(3, ca="ca.pem")  # nginx takes that for a bad request
        self.assertIn("No required SSL certificate was sent", result.err)
        self.assertEqual(len(self.server.noted(200)), 20)

    def test_files_that_cannot_be_used_are_named(self):
        self.own.make("host")
        self.serve("host")
        self.write("text.pem", "nothing")
        for fields, why in (({"ca": "none.pem"}, "none.pem: No such file or directory"),
                            ({"ca": "text.pem"}, "text.pem: has no certificate"),
                            ({"ca": "ca.pem", "client_certificate": "host.pem",
                              "client_key": "ca.key"}, "ca.key: is not the key of")):
            result = self.run_against(1, **fields)
            self.assertIn(f"TLS: {self.folder}/{why}", result.err)

    def test_http_where_tls_is_spoken_and_the_other_way_round(self):
        self.own.make("host")
        self.serve("host")
        self.pipeline(f"http://127.0.0.1:{self.server.port}/", items=3,
                      keys={"give_up_after": "300ms"})
        result, report = self.run_pipeline()
        self.assertNotEqual(result.exit, 0)
        self.assertEqual(report["delivered"], 0)
        self.pipeline(f"https://127.0.0.1:{self.server.behind}/", items=3,
                      keys={"give_up_after": "300ms"})
        result, report = self.run_pipeline(expect=1, arguments=["--fresh"])
        self.assertIn("the TLS handshake failed", result.err)


class PeersTest(HttpSink):
    def bulk(self, status_of, whole=None):
        """A server that answers with a status for each item; `whole` may answer for all."""
        self.taken, self.requests, lock = [], [], threading.Lock()

        def serve(connection, _):
            for _, body in servers.http_requests(connection):
                items = numbers_in(body.decode())
                with lock:
                    self.requests.append(len(items))
                    status = whole(items) if whole else None
                    statuses = [status_of(n) for n in items]
                    if status is None:
                        self.taken += [n for n, one in zip(items, statuses) if one == 200]
                if status is not None:
                    servers.http_answer(connection, status, "not like this")
                    continue
                rows = [{"status": one, **({"error": f"no {n}"} if one != 200 else {})}
                        for n, one in zip(items, statuses)]
                mixed = 207 if set(statuses) != {200} else 200
                servers.http_answer(connection, mixed, json.dumps(rows))
        return self.played(serve)

    def test_row_11_each_item_has_the_outcome_of_its_own_status(self):
        # Guard: read_statuses; without it every item of a 207 counts as delivered.
        tries = {}

        def status_of(n):
            tries[n] = tries.get(n, 0) + 1
            if n % 10 == 3:
                return 422
            if n % 10 in (5, 7) and tries[n] == 1:
                return 429 if n % 10 == 5 else 503
            return 200
        server = self.bulk(status_of)
        self.pipeline(server.url(), items=200, format="array", batch={"count": 100})
        _, report = self.run_pipeline(expect=3)
        bad = [n for n in range(1, 201) if n % 10 == 3]
        self.assertEqual((report["delivered"], report["dead_lettered"]), (180, 20))
        self.assertEqual(sorted(self.taken), [n for n in range(1, 201) if n % 10 != 3])
        letters = self.dead_letters()
        self.assertEqual(sorted(letters), bad)
        self.assertIn("answered 422: no 13 for this item", letters[13])
        again = sorted(n for n, count in tries.items() if count == 2)
        self.assertEqual(again, [n for n in range(1, 201) if n % 10 in (5, 7)])
        self.assertEqual(max(tries.values()), 2)

    def test_row_12_the_bad_item_of_a_batch_is_found_by_halving(self):
        # Guard: the halving; without it 1000 items fail for good.
        for status in (400, 413, 422):
            server = self.bulk(lambda n: 200,
                               lambda items, status=status: status if 617 in items else None)
            self.pipeline(server.url(), items=1000, format="ndjson")
            _, report = self.run_pipeline(expect=3, arguments=["--fresh"])
            self.assertEqual((report["delivered"], report["dead_lettered"]), (999, 1))
            self.assertEqual(sorted(self.taken), [n for n in range(1, 1001) if n != 617])
            self.assertLessEqual(len(self.requests), 1 + 20)
            self.assertIn(f"answered {status} Said: not like this", self.dead_letters()[617])

    def test_row_14_an_item_that_always_fails_is_kept_as_a_dead_letter(self):
        def serve(connection, _):
            for _, body in servers.http_requests(connection):
                servers.http_answer(connection, 500 if numbers_in(body.decode()) == [7] else 200)
        server = self.played(serve)
        self.write("in.ndjson", numbers(50))
        self.write_pipeline(
            name="sent", source={"file": {"path": "in.ndjson", "format": "ndjson"}},
            sink={"http": {"url": server.url()}, "batch": {"within": "300ms"},
                  "retry": {"attempts": 3, "backoff": "10ms..50ms"}})
        _, report = self.run_pipeline(expect=3)
        self.assertEqual((report["delivered"], report["dead_lettered"]), (49, 1))
        self.assertEqual(report["dropped"], 0)
        self.assertIn("answered 500", self.dead_letters()[7])

    def test_row_06_a_peer_that_accepts_and_says_nothing(self):
        def serve(connection, _):
            while connection.recv(1 << 16):
                pass
        server = self.played(serve)
        self.pipeline(server.url(), items=50, response_timeout="400ms",
                      keys={"stop_timeout": "1s"})
        running = self.start("run", "pipeline.yaml", "--report", "report.json")
        running.wait_for_words("did not answer within 400 ms", 10, "the silence")
        running.signal(signal.SIGTERM)
        began = time.monotonic()
        result = running.wait(10)
        self.assertLess(time.monotonic() - began, 5 * brigade_e2e.PATIENCE)
        self.assert_exit(result, 5)
        report = self.checked_report(self.folder / "report.json", result)
        self.assertEqual((report["delivered"], report["returned"]), (0, report["taken"]))
        nginx = self.nginx()
        self.pipeline(nginx.url(), items=50)
        self.run_pipeline(expect=0)
        self.assertEqual(self.delivered_to(nginx), list(range(1, 51)))

    def test_silent_in_the_handshake_of_tls(self):
        server = self.played(lambda connection, _: connection.recv(1 << 16)
                             and connection.recv(1 << 16))
        self.pipeline(server.url().replace("http:", "https:"), items=5, connect_timeout="200ms",
                      keys={"give_up_after": "1s"})
        result, report = self.run_pipeline(expect=1)
        self.assertIn(f"cannot connect to https://127.0.0.1:{server.port} within 200 ms",
                      result.err)
        self.assertEqual(report["returned"], report["taken"])

    def test_resets_lose_nothing(self):
        chance = seeded("http_sink resets")
        taken, lock = [], threading.Lock()

        def serve(connection, _):
            for _, body in servers.http_requests(connection):
                with lock:
                    fate = chance.randrange(12)
                    if fate != 0:
                        taken.extend(numbers_in(body.decode()))
                if fate < 2:  # before it was taken, or after, without a word
                    return servers.reset(connection)
                servers.http_answer(connection, 200, headers="Connection: close\r\n"
                                    if fate == 2 else "")
        server = self.played(serve)
        self.pipeline(server.url(), items=500)
        _, report = self.run_pipeline(expect=0)
        self.assertEqual(report["delivered"], 500)
        self.assertEqual(sorted(set(taken)), list(range(1, 501)))

    def test_what_is_no_http_is_an_outage(self):
        def serve(connection, _):
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.recv(1 << 16)
        server = self.played(serve)
        self.pipeline(server.url(), items=5, keys={"give_up_after": "500ms"})
        result, report = self.run_pipeline()
        self.assertIn("what is no HTTP/1.1", result.err)
        self.assertEqual(report["delivered"], 0)


class FileTest(HttpSink):
    def test_mistakes_are_named_with_their_place_and_nothing_is_opened(self):
        self.write("in.ndjson", numbers(1))
        self.write("pipeline.yaml", """source: { file: { path: in.ndjson, format: ndjson } }
sink:
  http:
    url: ftp://example.org
    format: xml
    headers: { Host: a }
""")
        result = self.brigade("run", "pipeline.yaml")
        self.assert_exit(result, 78)
        self.assertRegex(result.err, r"pipeline.yaml:5:\d+: .*xml")
        self.write_pipeline(source={"file": {"path": "in.ndjson"}},
                            sink={"http": {"url": "http://me:s3cret@a/", "token": "s3cret\n"}})
        result = self.brigade("check", "pipeline.yaml")
        self.assert_exit(result, 78)
        self.assertNotIn("s3cret", result.out + result.err)

    def test_a_picture_shows_no_token(self):
        self.pipeline("https://a.example/", token="s3cret")
        result = self.brigade("graph", "pipeline.yaml")
        self.assert_exit(result, 0)
        self.assertIn("token: ***", result.out)
        self.assertNotIn("s3cret", result.out)


if __name__ == "__main__":
    brigade_e2e.main()
