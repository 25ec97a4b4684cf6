"""A handler for brigade's stage `exec`, as a function.

    from brigade_handler import handle

    def charge(item, key):
        return {"order": item["order"], "paid": True, "key": key}

    handle(charge)

`handle` calls the function once an item, until brigade has no more, and then returns. What the
function returns is the item from there on. The function asks for what it wants to know by the names
of its parameters, besides the item: `key`, the same in every attempt at an item, and `attempt`,
which counts from 1.

    raise RetryLater("busy", seconds=30)   the item is tried again, not before 30 seconds
    raise Permanent("no such customer")    the item is dead-lettered at once
    raise Fatal("the licence has expired") the run stops; every unfinished item is returned

Any other exception means: try again. Its traceback goes to standard error, which is brigade's log.
`permanent=(ValueError, KeyError)` names exceptions that are not worth another attempt.

What the function prints goes to standard error too: standard output belongs to the answers. That
holds for programs it starts as well.

An `async def` works on several items at once, as many as the stage's `in_flight` lets in. A plain
function works on one after the other, and `in_flight: 64` only saves it the waiting in between.

One file, for Python 3.8 and later, without dependencies: copy it beside your handler, or name its
folder in PYTHONPATH (where brigade is installed, share/brigade). Licence: Apache-2.0, as brigade.
"""
import inspect
import json
import os
import re
import sys
import traceback

__all__ = ["handle", "RetryLater", "Permanent", "Fatal"]

READ_BYTES = 1 << 16
MOST_SECONDS = 1e9


class RetryLater(Exception):
    """The item may work later; not before so many seconds have passed."""

    def __init__(self, message="", seconds=None):
        super().__init__(message)
        self.seconds = seconds


class Permanent(Exception):
    """The item will never work."""


class Fatal(Exception):
    """Nothing will: the run is to stop."""


def handle(function, permanent=()):
    """Answers brigade's requests with `function` until they end."""
    answers, requests = _take_streams()
    worker = _Worker(function, tuple(permanent))
    if inspect.iscoroutinefunction(function):
        _serve_concurrently(worker, requests, answers)
    else:
        _serve(worker, requests, answers)


def _take_streams():
    """The pipes to brigade. From here on `print` and input() have nothing to do with them."""
    answers, requests = os.dup(1), os.dup(0)
    sys.stdout.flush()
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout = sys.stderr
    return answers, requests


class _Worker:
    """Calls the function, and puts what came of it into an answer: one line of bytes."""

    def __init__(self, function, permanent):
        self.function = function
        self.permanent = permanent + (Permanent,)
        self.is_ending = False
        parameters = inspect.signature(function).parameters
        takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
        self.wants = [name for name in ("key", "attempt") if takes_any or name in parameters]

    def call(self, request):
        if not self.wants:
            return self.function(request["item"])
        return self.function(request["item"], **{name: request[name] for name in self.wants})

    def answer(self, line):
        try:
            request = json.loads(line)
            return self.result(request["id"], self.call(request))
        except Exception as error:
            return self.failure(_number_of(line), error)

    async def answer_later(self, line):
        try:
            request = json.loads(line)
            return self.result(request["id"], await self.call(request))
        except (SystemExit, KeyboardInterrupt):
            self.is_ending = True
            raise
        except BaseException as error:  # CancelledError is no Exception, and would be no answer
            if self.is_ending:
                raise  # asyncio cancels what is left
            return self.failure(_number_of(line), error)

    @staticmethod
    def result(number, value):
        return b'{"id": %d, "ok": %s}\n' % (number, _encode(value).encode())

    def failure(self, number, error):
        answer = {"id": number, "error": _describe(error)}
        if isinstance(error, RetryLater):
            if isinstance(error.seconds, (int, float)) and error.seconds >= 0:
                answer["retry"] = min(error.seconds, MOST_SECONDS)
        elif isinstance(error, Fatal):
            answer["fatal"] = True
        elif isinstance(error, self.permanent):
            answer["retry"] = False
        if not isinstance(error, (RetryLater, Fatal, Permanent)):
            traceback.print_exception(type(error), error, error.__traceback__)
        return json.dumps(answer).encode() + b"\n"


# NaN is no JSON, and half of a surrogate pair no UTF-8: better an error of this item than rubbish
# in the answer.
_encode = json.JSONEncoder(allow_nan=False, check_circular=True, ensure_ascii=False).encode


def _number_of(line):
    """The request's number, also of one that Python does not read: nested too deeply, say."""
    return int(re.match(rb'\s*{\s*"id"\s*:\s*([0-9]+)', line).group(1))


def _describe(error):
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # of the error's own making
        text = ""
    text = text.encode(errors="backslashreplace").decode()
    if isinstance(error, (RetryLater, Permanent, Fatal)):
        return text or name
    return f"{name}: {text}" if text else name


def _write(answers, data):
    view = memoryview(data)
    while view:
        view = view[os.write(answers, view):]


def _serve(worker, requests, answers):
    """Reads all that has come at once. Each answer is written before the next item is begun: that
    one may take long, or end the process."""
    answer = worker.answer
    for line in _lines(requests):
        _write(answers, answer(line))


def _lines(requests):
    splitter = _Splitter()
    while True:
        data = os.read(requests, READ_BYTES)
        if not data:
            return
        yield from splitter.lines(data)


class _Splitter:
    """Makes lines of what is read. A long one is put together once, at its end."""

    def __init__(self):
        self.rest = []

    def lines(self, data):
        self.rest.append(data)
        if b"\n" not in data:
            return []
        lines = b"".join(self.rest).split(b"\n")
        self.rest = [lines.pop()]
        return lines


def _serve_concurrently(worker, requests, answers):
    import asyncio  # takes longer to load than all the rest: only for who needs it

    asyncio.run(_Conversation(asyncio, worker, requests, answers).hold())


class _Conversation:
    """Requests as they come, a task each. An answer is written as soon as it is there."""

    def __init__(self, asyncio, worker, requests, answers):
        self.asyncio, self.worker = asyncio, worker
        self.requests, self.answers = requests, answers
        self.splitter, self.tasks = _Splitter(), set()

    async def hold(self):
        self.loop = self.asyncio.get_running_loop()
        self.ended = self.loop.create_future()
        try:
            self.loop.add_reader(self.requests, self.read)
        except PermissionError:  # a file, put there by hand: it never makes anybody wait
            while not self.ended.done():
                self.read()
        else:
            try:
                await self.ended
            except self.asyncio.CancelledError:
                self.worker.is_ending = True
                raise
            self.loop.remove_reader(self.requests)
        while self.tasks:
            await self.asyncio.wait(self.tasks)

    def read(self):
        data = os.read(self.requests, READ_BYTES)
        if not data:
            if not self.ended.done():
                self.ended.set_result(None)
            return
        for line in self.splitter.lines(data):
            task = self.loop.create_task(self.answer(line))
            self.tasks.add(task)  # the loop itself would let go of it
            task.add_done_callback(self.tasks.discard)

    async def answer(self, line):
        _write(self.answers, await self.worker.answer_later(line))
