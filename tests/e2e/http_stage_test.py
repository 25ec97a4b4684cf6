"""The stage `http` against a real nginx, and against a service that is asked too much."""
import json
import shutil
import threading
import time

import brigade_e2e
import servers
from brigade_e2e import EXAMPLES, numbers, query, wait_until


class HttpStage(brigade_e2e.BrigadeTest):
    def nginx(self, **options):
        return servers.at_end(self, servers.Nginx(self.folder, **options))

    def pipeline(self, url, items=100, keys=None, **fields):
        self.write("in.ndjson", numbers(items))
        stage = {"http": {"url": url, **fields}, "name": "ask", "workers": 8,
                 "retry": {"attempts": 10, "backoff": "50ms..500ms"}, **(keys or {})}
        self.write_pipeline(name="asked", stages=[stage],
                            source={"file": {"path": "in.ndjson", "format": "ndjson"}},
                            sink={"file": {"path": "out.ndjson"}})

    def rows(self):
        return [json.loads(row) for row in (self.folder / "out.ndjson").read_text().splitlines()]

    def dead_letters(self):
        return query(self.ledger("asked"), "select stage, error from dead_letters")


class NginxTest(HttpStage):
    def test_the_answer_goes_into_the_item(self):
        nginx = self.nginx(answer='{"price": 5}')
        self.pipeline(nginx.url("/prices/{n}"), method="GET", response="merge", into="found")
        self.run_pipeline(expect=0)
        self.assertEqual(sorted(self.rows(), key=lambda row: row["n"]),
                         [{"n": n, "found": {"price": 5}} for n in range(1, 101)])
        self.assertEqual({one["method"] + one["key"] + one["body"] for one in nginx.noted()},
                         {"GET"})

    def test_in_the_place_of_the_item_and_not_at_all(self):
        nginx = self.nginx(answer='{"price": 5}')
        self.pipeline(nginx.url(), items=10)
        self.run_pipeline(expect=0)
        self.assertEqual(self.rows(), [{"price": 5}] * 10)
        self.pipeline(nginx.url(), items=10, response="ignore")
        self.run_pipeline(expect=0, arguments=["--fresh"])
        self.assertEqual(sorted(row["n"] for row in self.rows()[10:]), list(range(1, 11)))

    def test_what_is_not_there_is_the_items_own_fault(self):
        nginx = self.nginx(answer="{}")
        self.pipeline(nginx.url("/{n}"), items=20)
        nginx.close_with(404)
        _, report = self.run_pipeline(expect=3)
        self.assertEqual(report["dead_lettered"], 20)
        self.assertEqual(report["retries"], 0)
        self.assertIn("answered 404 Not Found", self.dead_letters()[0][1])

    def test_a_server_that_goes_and_comes_back(self):
        nginx = self.nginx(answer="{}")
        self.pipeline(nginx.url(), items=2000, keys={"rate": "1000/s"}, response="ignore")
        running = self.start("run", "pipeline.yaml", "--report", "report.json")
        wait_until(lambda: len(nginx.noted(200)) > 200, 20, "some answers")
        nginx.stop()
        time.sleep(0.3)
        nginx.start()
        result = running.wait(30)
        self.assert_exit(result, 0)
        report = self.checked_report(self.folder / "report.json", result)
        self.assertEqual(report["delivered"], 2000)
        self.assertGreater(report["retries"], 0)

    def test_over_tls(self):
        servers.Certificates(self.folder).make("host")
        nginx = self.nginx(tls="host", answer="{}")
        self.pipeline(nginx.url(host="localhost"), items=50, ca="ca.pem")
        self.run_pipeline(expect=0)
        self.assertEqual(len(nginx.noted(200)), 50)
        self.assertLessEqual(len({one["connection"] for one in nginx.noted()}), 8)
        self.pipeline(nginx.url(host="localhost"), items=3,
                      keys={"retry": {"attempts": 2, "backoff": "1ms..2ms"}})
        _, report = self.run_pipeline(expect=3, arguments=["--fresh"])
        self.assertEqual(report["dead_lettered"], 3)
        self.assertIn("its certificate is not to be trusted", self.dead_letters()[-1][1])


class PlayedTest(HttpStage):
    def test_retry_after_is_heeded_and_the_key_stays_the_same(self):
        asked, lock = {}, threading.Lock()

        def serve(connection, _):
            for head, _ in servers.http_requests(connection):
                key = next(line.split(": ")[1] for line in head.split("\r\n")
                           if line.startswith("Idempotency-Key"))
                with lock:
                    asked.setdefault(key, []).append(time.monotonic())
                    first = len(asked[key]) == 1
                servers.http_answer(connection, 429 if first else 200,
                                    headers="Retry-After: 1\r\n")
        server = servers.at_end(self, servers.Played(serve))
        self.pipeline(server.url(), items=5, response="ignore")
        _, report = self.run_pipeline(expect=0)
        self.assertEqual((report["delivered"], report["retries"]), (5, 5))
        self.assertEqual(len(asked), 5)
        for first, second in asked.values():
            self.assertGreaterEqual(second - first, 1)

    def test_a_timeout_of_the_stage_drops_the_connection_and_charges_the_item(self):
        def serve(connection, _):
            for head, _ in servers.http_requests(connection):
                if "/3 " not in head:
                    servers.http_answer(connection, 200)
        server = servers.at_end(self, servers.Played(serve))
        self.pipeline(server.url("/{n}"), items=5, keys={
            "timeout": "200ms", "retry": {"attempts": 2, "backoff": "1ms..2ms"}})
        _, report = self.run_pipeline(expect=3)
        self.assertEqual((report["delivered"], report["dead_lettered"]), (4, 1))


class ExampleTest(HttpStage):
    def test_the_example_asks_and_tells(self):
        nginx = self.nginx(answer='{"score": 3}')
        shutil.copy(EXAMPLES / "webhooks.yaml", self.folder)
        self.write("events.ndjson", "".join(
            json.dumps({"id": n, "customer": f"c {n % 3}", "total": n}) + "\n"
            for n in range(1, 31)))
        _, report = self.run_pipeline("webhooks.yaml", expect=0, env={
            "SCORES_URL": nginx.url("/scores"), "HOOK_URL": nginx.url("/hook"),
            "HOOK_TOKEN": "s3cret"})
        self.assertEqual(report["delivered"], 30)
        asked = [one for one in nginx.noted() if one["uri"].startswith("/scores/")]
        self.assertEqual({one["uri"] for one in asked},
                         {"/scores/c%200", "/scores/c%201", "/scores/c%202"})
        hooks = [one for one in nginx.noted() if one["uri"] == "/hook"]
        sent = [json.loads(row) for one in hooks for row in one["body"].splitlines()]
        self.assertEqual({row["risk"]["score"] for row in sent}, {3})
        self.assertEqual(sorted(row["id"] for row in sent), list(range(1, 31)))
        self.assertEqual({one["token"] for one in hooks}, {"Bearer s3cret"})


if __name__ == "__main__":
    brigade_e2e.main()
