"""A TCP connection that goes wrong when a test says so.

    with FaultProxy(server_port) as wire:      # connect to wire.port instead
        wire.strike("reset")                   # or cut, silence, refuse
        wire.strike_after(1000, "silence")     # when 1000 more bytes have gone through
        wire.strike_next("cut")                # the connection that comes next
        wire.heal()

A call that returns has taken effect. What each fault is: include/brigade/testing/fault_proxy.hpp.
Environment: FAULT_PROXY, the program.
"""
import os
import subprocess

from brigade_e2e import wait_until


class FaultProxy:
    def __init__(self, target_port):
        path = os.environ.get("FAULT_PROXY")
        if not path:
            raise AssertionError("FAULT_PROXY is not set: give it the path of the fault proxy")
        self.process = subprocess.Popen([path, str(target_port)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        word, _, port = self.process.stdout.readline().partition(" ")
        assert word == "port", "the fault proxy did not start"
        self.port = int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Resets who is connected, and ends."""
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)
        self.process.stdout.close()

    def say(self, *words):
        """Its answer to a line."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error: "):
            raise ValueError(f"{words}: {answer.removeprefix('error: ') or 'it has ended'}")
        return answer

    def strike(self, fault):
        self.say(fault)

    def strike_next(self, fault):
        self.say("next", fault)

    def strike_after(self, count, fault, way=None):
        """`way`: "to" or "from" the target; by default both count."""
        self.say("after", count, fault, *([way] if way else []))

    def delay(self, seconds):
        self.say("delay", round(seconds * 1000))

    def throttle(self, bytes_per_second):
        self.say("throttle", bytes_per_second)

    def heal(self):
        self.say("heal")

    def counts(self):
        """connections, open, to_target, from_target, strikes."""
        words = self.say("counts").split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def wait_for(self, condition, within, what):
        """The counts, once they are as wanted."""
        def wanted():
            now = self.counts()
            return now if condition(now) else None
        return wait_until(wanted, within, what)
