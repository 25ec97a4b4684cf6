"""The source `http`: whoever got a 200 has his order in the database, whatever was killed.

curl and plain sockets post; nothing of brigade speaks HTTP here. BRIGADE_E2E_KILLS says how many
counted kills (3): one counts if requests had been answered since the start and others waited.
"""
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import brigade_e2e
from brigade_e2e import query, seeded, wait_until
from http_posting import JSON, PostingTest, sending

KILLS = int(os.environ.get("BRIGADE_E2E_KILLS", "3"))
# An order without a total fails for good, one that costs nothing is filtered.
STAGES = [{"jq": 'if .total == null then error("no total") else . end', "name": "validate",
           "retry": {"attempts": 1}},
          {"filter": ".total != 0", "name": "payable"}]


def order(number):
    """Every tenth has no total, every twenty-fifth costs nothing."""
    if number % 10 == 0:
        return {"n": number}
    return {"n": number, "total": 0 if number % 25 == 0 else 5}


def fate(number):
    """(status, whether it is in the table)"""
    if number % 10 == 0:
        return 422, False
    return 200, number % 25 != 0


class HttpSourceTest(PostingTest):
    stages = STAGES

    def curl(self, *arguments, stdin=""):
        done = subprocess.run(["curl", "-sS", "-m", "60", *arguments], input=stdin, text=True,
                              capture_output=True, cwd=self.folder, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_thousand_orders_by_curl_one_by_one_and_in_batches(self):
        self.pipeline()
        running = self.serve()
        url = f"http://127.0.0.1:{self.port}/orders"
        singles = []
        for number in range(1, 501):
            data = json.dumps(order(number)).replace('"', '\\"')
            singles.append(f'url = "{url}"\nheader = "Content-Type: application/json"\n'
                           f'data = "{data}"\nwrite-out = "%{{http_code}}\\n"\n'
                           f'output = "{number}.json"\n')
        codes = self.curl("-K", "-", stdin="next\n".join(singles)).split()
        self.assertEqual(codes, [str(fate(number)[0]) for number in range(1, 501)])
        for first in range(501, 1001, 50):
            batch = [order(number) for number in range(first, first + 50)]
            is_lines = first % 100 == 1
            text = "\n".join(map(json.dumps, batch)) if is_lines else json.dumps(batch)
            kind = "application/x-ndjson" if is_lines else "application/json"
            said = self.curl(url, "-H", f"Content-Type: {kind}", "--data-binary", "@-", "-w",
                             "\n%{http_code}", stdin=text)
            items, code = said.rsplit("\n", 1)
            self.assertEqual(code, "207")
            self.assertEqual([item["status"] for item in json.loads(items)],
                             [fate(number)[0] for number in range(first, first + 50)])
        report = self.stop(running, 3)
        self.assertEqual((report["taken"], report["dead_lettered"]), (1000, 100))
        wanted = {number for number in range(1, 1001) if fate(number)[1]}
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", wanted)

    def test_what_is_no_posting_is_told_why_and_nothing_is_taken(self):
        self.pipeline({"token": ["first", "second"], "max_body": "1KiB", "max_items": 3})
        running = self.serve()
        token = {"Authorization": "Bearer second"}
        self.assertEqual(self.post({"n": 1, "total": 5}, **token)[0], 200)
        self.assertEqual(self.post({}, Authorization="Bearer third")[0], 401)
        status, said, headers = self.post({})
        self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"), said)
        for body, wanted in (('{"n": ', 400), (b'"caf\xe9"', 400), ("x" * 2000, 413),
                             ("[1,2,3,4]", 413), ("", 400)):
            self.assertEqual(self.post(body, **token)[0], wanted, body)
        self.assertEqual(self.post({}, path="/", **token)[0], 404)
        self.assertEqual(self.post({}, **token, Content_Type="text/plain")[0], 415)
        self.assertEqual(self.post([], **token)[:2], (200, []))
        report = self.stop(running, 0)
        self.assertEqual(report["taken"], 1)

    def test_a_key_brings_the_recorded_outcome_again_also_after_a_kill(self):
        self.pipeline()
        running = self.serve()
        good, bad = {"n": 1, "total": 5}, {"n": 10}
        first = self.post(good, Idempotency_Key="a")
        dead = self.post([bad, good | {"n": 2}], Idempotency_Key='"b"')
        self.assertEqual((first[0], first[1]["id"]), (200, "http:key-a"))
        self.assertEqual((dead[0], [item["status"] for item in dead[1]]), (207, [422, 200]))
        self.assertEqual(self.post(good, Idempotency_Key="a")[:2], first[:2])
        self.assertEqual(self.post(bad, Idempotency_Key="a")[0], 422)
        self.assertTrue(running.kill())
        running = self.serve()
        self.assertEqual(self.post(good, Idempotency_Key="a")[:2], first[:2])
        self.assertEqual(self.post([bad, good | {"n": 2}], Idempotency_Key="b")[:2], dead[:2])
        report = self.stop(running, 0)
        self.assertEqual(report["taken"], 0, "nothing was done again")
        self.assertEqual(self.in_table(), {1, 2})

    def test_a_stop_finishes_what_was_taken_and_sends_newcomers_away(self):
        slow = [{"filter": "true", "name": "slow", "rate": "12/m"}]
        self.pipeline(stages=slow)
        running = self.serve()
        self.assertEqual(self.post({"n": 1})[0], 200)  # uses up the first moment
        answers = []
        held = threading.Thread(target=lambda: answers.append(self.post({"n": 2})))
        held.start()
        wait_until(lambda: self.in_work() == 1, 10, "the order to be taken")
        running.signal(signal.SIGTERM)
        running.wait_for_words("stopping", 10, "the stop to be seen")
        status, said, headers = self.post({"n": 3})
        self.assertEqual((status, headers["Retry-After"], headers["Connection"]),
                         (503, "1", "close"), said)
        held.join()
        self.assertEqual(answers[0][0], 200)
        self.assert_exit(running.wait(30), 0)
        self.assertEqual(self.in_table(), {1, 2})

    def test_an_own_id_brings_the_recorded_outcome_again_also_after_a_kill(self):
        self.pipeline(id=".n")
        running = self.serve()
        first = self.post([{"n": 1, "total": 5}, {"n": 10}])
        self.assertEqual((first[0], [item["id"] for item in first[1]]),
                         (207, ["http:id-1", "http:id-10"]))
        self.assertEqual(self.post({"n": 10})[:2], (422, first[1][1]))
        self.assertEqual(self.post({"n": 1, "total": 6})[0], 422, "another order 1")
        self.assertTrue(running.kill())
        running = self.serve()
        self.assertEqual(self.post([{"n": 10}, {"n": 1, "total": 5}])[1], first[1][::-1])
        self.assertEqual(self.post({"n": 2, "total": 5})[1]["id"], "http:id-2")
        self.assertEqual(self.stop(running, 0)["taken"], 1)
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", (1, 2))

    def test_newcomers_are_sent_away_at_once_though_the_window_is_full(self):
        slow = [{"filter": "true", "name": "slow", "rate": "12/m"}]
        self.pipeline({"reply_timeout": "50s"}, stages=slow, window={"items": 1})
        running = self.serve()
        self.assertEqual(self.post({"n": 1})[0], 200)  # uses up the first moment
        answers = {}

        def send(number):
            answers[number] = self.post({"n": number})[0]
        senders = [threading.Thread(target=send, args=(number,)) for number in (2, 3)]
        for each in senders:
            each.start()
        wait_until(lambda: self.in_work() == 2, 10, "one order in work, and one that waits")
        running.signal(signal.SIGTERM)
        running.wait_for_words("stopping", 10, "the stop to be seen")
        status, said, headers = self.post({"n": 4})
        self.assertEqual((status, headers["Connection"]), (503, "close"), said)
        for each in senders:
            each.join()
        self.assertEqual(sorted(answers.values()), [200, 503])
        self.assert_exit(running.wait(30), 0)
        done = {number for number, status in answers.items() if status == 200}
        self.assertEqual(self.in_table(), {1} | done)

    def in_work(self):
        """Connections whose request has been read: nothing of it is left in the socket."""
        listing = Path("/proc/net/tcp").read_text()
        local = f":{self.port:04X}"
        open_now = [line.split() for line in listing.splitlines()[1:]]
        return sum(1 for each in open_now if each[1].endswith(local) and each[3] == "01"
                   and each[4].endswith(":00000000"))

    def test_a_deadline_returns_what_is_in_work_and_says_so(self):
        self.pipeline(stages=[{"filter": "true", "rate": "1/m"}], stop_timeout="1s")
        running = self.serve()
        self.assertEqual(self.post({"n": 1})[0], 200)
        answers = []
        held = threading.Thread(target=lambda: answers.append(self.post({"n": 2})))
        held.start()
        wait_until(lambda: self.in_work() == 1, 10, "the order to be taken")
        running.signal(signal.SIGTERM)
        held.join()
        self.assertEqual((answers[0][0], answers[0][1]["outcome"]), (503, "returned"))
        self.assert_exit(running.wait(30), 5)
        self.assertEqual(self.in_table(), {1})

    def test_too_many_at_once_are_told_to_come_again_and_are_not_taken(self):
        self.pipeline({"backlog": 2, "reply_timeout": "60s"}, window={"items": 2},
                      stages=[{"filter": "true", "rate": "4/s"}])
        running = self.serve()
        answers = {}

        def send(number):
            answers[number] = self.post({"n": number})
        senders = [threading.Thread(target=send, args=(number,)) for number in range(20)]
        for each in senders:
            each.start()
        for each in senders:
            each.join()
        done = {number for number, answer in answers.items() if answer[0] == 200}
        refused = {number for number, answer in answers.items() if answer[0] == 429}
        self.assertEqual(done | refused, set(range(20)), answers)
        self.assertTrue(done and refused, answers)
        self.assertTrue(all(answers[number][2]["Retry-After"] == "1" for number in refused))
        self.stop(running, 0)
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", done)

    def test_who_waits_too_long_is_told_that_nothing_is_known_and_can_ask_again(self):
        self.pipeline({"reply_timeout": "300ms"}, stages=[{"filter": "true", "rate": "1/s"}])
        running = self.serve()
        self.assertEqual(self.post({"n": 1})[0], 200)
        status, said, _ = self.post({"n": 2}, Idempotency_Key="late")
        self.assertEqual((status, said["outcome"]), (504, "unknown"))

        def known():
            answer = self.post({"n": 2}, Idempotency_Key="late")
            return answer if answer[0] != 504 else None
        self.assertEqual(wait_until(known, 10, "the outcome")[0], 200)
        report = self.stop(running, 0)
        self.assertEqual(report["taken"], 2)

    def certificates(self):
        """An authority, and a server's and a client's certificate by it; another authority."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.folder, check=True,
                           capture_output=True)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        for name in ("ca", "foreign"):
            openssl("req", "-x509", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                    "-out", f"{name}.pem")
        self.write("names", "subjectAltName=IP:127.0.0.1\n")
        for name in ("server", "client"):
            openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
                    f"{name}.csr")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                    "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", f"{name}.pem")

    def test_tls_with_and_without_a_clients_certificate(self):
        self.certificates()
        tls = {"tls_certificate": "server.pem", "tls_key": "server.key"}
        url = f"https://127.0.0.1:{self.port}/orders"
        send = (url, "-H", "Content-Type: application/json", "-d", '{"n": 1, "total": 5}', "-w",
                "%{http_code}", "-o", "answer")
        self.pipeline(tls)
        running = self.serve()
        self.assertEqual(self.curl("--cacert", "ca.pem", *send), "200")
        distrusting = subprocess.run(["curl", "-sS", "--cacert", "foreign.pem", *send],
                                     cwd=self.folder, capture_output=True, text=True, check=False)
        self.assertEqual(distrusting.returncode, 60, distrusting.stderr)
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain:
            plain.sendall(b"POST /orders HTTP/1.1\r\n\r\n")
            while plain.recv(4096):
                pass  # it is told in TLS that this is none, and let go
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        large = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)
        large.request("POST", "/orders", b" " * (20 << 20), JSON)
        self.assertEqual(large.getresponse().status, 413)
        large.close()
        self.stop(running, 0)

        self.pipeline({**tls, "tls_client_ca": "ca.pem"})
        running = self.serve()
        known = ("--cert", "client.pem", "--key", "client.key", "--cacert", "ca.pem")
        self.assertEqual(self.curl(*known, *send), "200")
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        stranger = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)
        with self.assertRaises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            stranger.request("POST", "/orders", "{}", JSON)
            stranger.getresponse()
        stranger.close()
        self.stop(running, 0)

        self.pipeline({**tls, "tls_key": "client.key"})
        result = self.brigade("run", "pipeline.yaml")
        self.assertEqual(result.exit, 1, result.err)
        self.assertIn("client.key: is not the key of", result.err)

    def test_row_08_nobody_who_got_a_200_is_lost_in_kills(self):
        self.pipeline()
        chance = seeded("http kills")
        answered = {}

        def send(batch, _):
            body = [order(number) for number in batch]
            self.send_until_answered(body if len(batch) > 1 else body[0], batch, answered)
        running = self.serve()
        counted = 0
        with sending(chance, send):
            while counted < KILLS:
                before = len(answered)
                wait_until(lambda: len(answered) > before + 200, 60, "answers")
                time.sleep(chance.random() * 0.02)
                waiting = self.in_work()
                self.assertTrue(running.kill())
                counted += waiting > 0
                running = self.serve()
        self.stop(running, 0, 3)  # the last run may have seen no order that fails
        wanted = {number for number in answered if fate(number)[1]}
        self.assertEqual(answered, {number: fate(number)[0] for number in answered})
        self.assert_rows_exactly_once(self.folder / "out.db", "orders", wanted)
        dead = {id for id, in query(self.ledger("orders"), "select id from dead_letters")}
        rows = query(self.ledger("orders"), "select id, count(*) from items"
                     " where outcome != 'returned' group by id having count(*) > 1")
        self.assertEqual(rows, [], "nothing has two outcomes")
        self.assertGreaterEqual(len(dead), sum(1 for code in answered.values() if code == 422))

    def send_until_answered(self, body, batch, answered):
        """Sends again what was not answered, under the same key, as a client should."""
        while True:
            try:
                status, said, _ = self.post(body, Idempotency_Key=f"order-{batch[0]}")
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.02)
                continue
            if status in (429, 503):
                continue
            items = said if isinstance(said, list) else [said]
            for number, item in zip(batch, items):
                answered[number] = item["status"]
            return


if __name__ == "__main__":
    brigade_e2e.main()
