"""Builds the programs that compare.py runs: each is called with a workload and `int` or `heap`."""
import os
import shutil
import subprocess
import sys

# Peers that no package registry has; measured figures of theirs would need their sources.
NOTHING = ["sh", "-c", "exit 2"]
NOT_PACKAGED = ["cppcoro, libcoro, concurrencpp: neither Debian nor another package registry has "
                "them"]


class LeftOut(Exception):
    """Why a peer cannot be built here."""


class Builder:
    def __init__(self, root, build, install):
        self.peers = root / "bench" / "peers"
        self.out = build / "peers"
        self.install = install
        self.out.mkdir(parents=True, exist_ok=True)

    def need(self, found, *packages):
        """Installs Debian packages when `found` says that something is missing."""
        if found():
            return
        if self.install and os.geteuid() == 0:
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            subprocess.run(["apt-get", "-qy", "-o", "DPkg::Lock::Timeout=300", "install",
                            "--no-install-recommends", *packages], env=environment,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not found():
            raise LeftOut(f"needs {' '.join(packages)}")

    def need_header(self, header, package):
        self.need(lambda: subprocess.run(
            ["g++", "-std=c++20", "-fsyntax-only", "-include", header, "-x", "c++", os.devnull],
            capture_output=True).returncode == 0, package)

    def cxx(self, name, *libraries):
        program = self.out / name
        source = self.peers / f"{name}.cpp"
        inputs = [source, source.with_suffix(".hpp"), self.peers.parent / "measure.hpp"]
        newest = max(path.stat().st_mtime for path in inputs if path.exists())
        if not program.exists() or program.stat().st_mtime < newest:
            self.run(["g++", "-std=c++20", "-O2", "-pthread", f"-I{self.peers.parent}", str(source),
                      "-o", str(program), *libraries])
        return lambda work: [str(program), work.name, payload(work)]

    def run(self, command, **options):
        done = subprocess.run(command, capture_output=True, text=True, **options)
        if done.returncode != 0:
            raise LeftOut(f"{' '.join(command)}: {done.stderr.strip()[-200:]}")

    # --- one function a peer ---
    def bare_loop(self):
        return one_thread_only(self.cxx("prototype"))

    def go(self):
        self.need(lambda: shutil.which("go") is not None, "golang-go")
        self.run(["go", "build", "-o", str(self.out / "go_peer"), "."], cwd=self.peers / "go")
        program = str(self.out / "go_peer")
        return lambda work: ["env", f"GOMAXPROCS={work.threads}", program, work.name, payload(work)]

    def rust(self, channel):
        self.need(lambda: shutil.which("cargo") is not None, "cargo")
        target = self.out / "rust"
        self.run(["cargo", "build", "--quiet", "--release", "--target-dir", str(target)],
                 cwd=self.peers / "rust")
        program = str(target / "release" / "rust_peer")
        runtime = {1: "ct", 2: "mt2"}
        return lambda work: [program, work.name, payload(work), "0", channel, runtime[work.threads]]

    def tokio(self):
        return self.rust("tokio")

    def async_channel(self):
        return queues_only(self.rust("achan"))

    def fiber(self):
        self.need_header("boost/fiber/all.hpp", "libboost-fiber1.81-dev")
        return one_thread_only(self.cxx("fiber", "-lboost_fiber", "-lboost_context"))

    def tbb(self):
        self.need_header("oneapi/tbb.h", "libtbb-dev")
        program = self.cxx("tbb", "-ltbb")
        return lambda work: [*program(work), "0", str(work.threads)]

    def asio(self):
        self.need_header("boost/asio.hpp", "libboost1.81-dev")
        return one_thread_only(self.cxx("asio"))

    def asyncio(self, loop="asyncio"):
        script = str(self.peers / "asyncio_peer.py")
        return one_thread_only(
            lambda work: ["/usr/bin/python3", script, work.name, payload(work), "0", loop])

    def uvloop(self):
        self.need(lambda: subprocess.run(["/usr/bin/python3", "-c", "import uvloop"],
                                         capture_output=True).returncode == 0, "python3-uvloop")
        return self.asyncio("uvloop")


def payload(work):
    return "heap" if work.heap else "int"


def queues_only(command):
    """async-channel is a queue: what it shows of tasks and timers is its runtime, tokio."""
    return lambda work: command(work) if work.program.endswith("queue") else NOTHING


def one_thread_only(command):
    return lambda work: command(work) if work.threads == 1 else NOTHING


def build_brigade(root, build):
    programs = ("queue", "shared_queue", "task", "timer", "cancel")
    for command in (["cmake", "--preset", "bench"],
                    ["cmake", "--build", str(build), "--target",
                     *(f"{name}_bench" for name in programs)]):
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout[-3000:] + done.stderr[-3000:])
    folder = build / "bench"
    return lambda work: [str(folder / f"{work.program}_bench"), work.name, payload(work)]


def build_all(root, build, install):
    """({name: command of a workload}, [why a peer is left out])."""
    programs = {"brigade": build_brigade(root, build)}
    left_out = []
    builder = Builder(root, build, install)
    peers = {"bare loop": builder.bare_loop, "Go": builder.go, "tokio": builder.tokio,
             "async-channel": builder.async_channel, "Boost.Fiber": builder.fiber,
             "TBB": builder.tbb, "Asio": builder.asio, "asyncio": builder.asyncio,
             "uvloop": builder.uvloop}
    for name, make in peers.items():
        try:
            programs[name] = make()
        except LeftOut as why:
            left_out.append(f"{name}: {why}")
            print(f"{name} is left out: {why}", file=sys.stderr)
    for line in NOT_PACKAGED:
        print(f"left out: {line}", file=sys.stderr)
    return programs, left_out + NOT_PACKAGED
