"""Real servers for the black-box tests: each in a folder of the test's, on a free port of loopback.

A server is started and ended by the test that wants it, by its process id. One whose program is
not installed fails the test: scripts/setup installs it.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from brigade_e2e import PATIENCE, wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def needs(name, package):
    """The path of a program that the tests cannot do without."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise AssertionError(f"{name} is not installed; scripts/setup test installs {package}")
    return path


def is_open(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- certificates ---------------------------------------------------------------------------------

class Certificates:
    """An authority in `folder`, and what it vouches for: NAME.pem and NAME.key."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = Path(folder), name
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-subj", f"/CN={name}", "-days", "2", "-keyout", f"{name}.key",
                     "-out", f"{name}.pem")

    def openssl(self, *arguments):
        done = subprocess.run([needs("openssl", "openssl"), *arguments], cwd=self.folder,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(f"openssl {arguments[0]}: {done.stderr}")

    def make(self, name, names="DNS:localhost,IP:127.0.0.1", days=2):
        """A certificate for `names`; with days below 0 it has expired."""
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
                     f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey",
                     f"{self.name}.key", "-CAcreateserial", "-days", str(days), "-extfile",
                     extensions.name, "-out", f"{name}.pem")


# --- nginx ----------------------------------------------------------------------------------------

class Nginx:
    """nginx as a target: it answers 200, and notes each request with its body.

    While a file `closed` is in its folder it answers what that says ("403", "429", "503"), with
    Retry-After: 1. `tls`: the name of a certificate in the folder; then it is a TLS front.
    `answer`: the body of its answers. `client_ca`: whom clients must be vouched for by. `refused`:
    a path that is answered 422.
    """

    def __init__(self, folder, tls=None, answer="", client_ca=None, refused="/refused"):
        self.folder, self.process = Path(folder), None
        self.port, self.behind = free_port(), free_port()
        self.scheme = "https" if tls else "http"
        secured = f"ssl_certificate {tls}.pem; ssl_certificate_key {tls}.key;" if tls else ""
        if client_ca:
            secured += f" ssl_client_certificate {client_ca}; ssl_verify_client on;"
        closed = " ".join(f"if (-f {self.folder}/closed-{status}) {{ return {status}; }}"
                          for status in (403, 404, 429, 500, 503))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(f"""
daemon off; master_process on; worker_processes 1; {user} pid nginx.pid; error_log nginx.log warn;
events {{ worker_connections 512; }}
http {{
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u;
  scgi_temp_path s; client_max_body_size 64m; client_body_buffer_size 16m;
  log_format noted escape=json '{{"status":$status,"method":"$request_method","uri":"$request_uri",'
    '"key":"$http_idempotency_key","type":"$http_content_type","token":"$http_authorization",'
    '"connection":$connection,"body":"$request_body"}}';
  server {{
    listen 127.0.0.1:{self.port} {"ssl" if tls else ""}; {secured}
    access_log noted.log noted;
    add_header Retry-After 1 always;
    location / {{ {closed} proxy_pass http://127.0.0.1:{self.behind}; }}
  }}
  server {{
    listen 127.0.0.1:{self.behind}; access_log off; default_type application/json;
    location /missing {{ return 404; }}
    location = {refused} {{ return 422; }}
    location / {{ return 200 '{answer}'; }}
  }}
}}
""")
        self.start()

    def url(self, path="/in", host="127.0.0.1"):
        return f"{self.scheme}://{host}:{self.port}{path}"

    def start(self):
        program = needs("nginx", "nginx-light")
        with open(self.folder / "nginx.out", "ab") as out:
            self.process = subprocess.Popen(
                [program, "-p", str(self.folder), "-c", "nginx.conf"], stdout=out, stderr=out)
        wait_until(lambda: self.process.poll() is not None or is_open(self.port), 10, "nginx")
        if self.process.poll() is not None:
            raise AssertionError("nginx: " + (self.folder / "nginx.out").read_text())

    def stop(self):
        """It listens no more, and ends what is under way: ended at once it would not note all that
        it has answered, and the notes are what the tests go by."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(3 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.terminate()
                self.process.wait(10 * PATIENCE)
        wait_until(lambda: not is_open(self.port), 5, "nginx to be gone")

    def close_with(self, status):
        (self.folder / f"closed-{status}").touch()

    def open_again(self):
        for sign in self.folder.glob("closed-*"):
            sign.unlink()

    def noted(self, status=None):
        """The requests so far, with this status."""
        try:
            lines = (self.folder / "noted.log").read_text().split("\n")[:-1]  # whole ones
        except FileNotFoundError:
            return []
        found = [json.loads(line) for line in lines]
        return [one for one in found if status in (None, one["status"])]


def at_end(test, server):
    """Has `server` stopped when the test ends, before its folder is looked at."""
    test.addCleanup(server.stop)
    return server


# --- peers that are played ------------------------------------------------------------------------

class Played:
    """A TCP server, each connection on a thread of its own in `serve(connection, number)`."""

    def __init__(self, serve):
        self.serve, self.listening = serve, socket.create_server(("127.0.0.1", 0))
        self.port, self.connections, self.open = self.listening.getsockname()[1], 0, []
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def url(self, path="/in"):
        return f"http://127.0.0.1:{self.port}{path}"

    def accept(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            self.open.append(connection)
            number, self.connections = self.connections, self.connections + 1
            threading.Thread(target=self.attend, args=(connection, number), daemon=True).start()

    def attend(self, connection, number):
        try:
            with connection:
                self.serve(connection, number)
        except (OSError, ValueError) as ended:
            print(f"played server: {ended}", file=sys.stderr)

    def stop(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def http_requests(connection):
    """The (head, body) of each request that comes."""
    text = b""
    while True:
        while b"\r\n\r\n" not in text:
            piece = connection.recv(1 << 16)
            if not piece:
                return
            text += piece
        head, _, text = text.partition(b"\r\n\r\n")
        size = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                size = int(line.split(b":")[1])
        while len(text) < size:
            piece = connection.recv(1 << 16)
            if not piece:
                return
            text += piece
        body, text = text[:size], text[size:]
        yield head.decode(), body


def http_answer(connection, status, body="", headers=""):
    data = body.encode()
    connection.sendall(f"HTTP/1.1 {status} Said\r\n{headers}Content-Length: {len(data)}\r\n\r\n"
                       .encode() + data)


def reset(connection):
    """Ends it with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
