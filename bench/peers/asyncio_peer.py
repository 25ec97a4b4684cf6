"""asyncio: asyncio_peer.py WORKLOAD int|heap ITEMS [asyncio|uvloop]; 0 items: as many as usual.

Prints wall and CPU nanoseconds an item (bytes a task, twice, for W6m); exits with 2 when it does
not have the workload. asyncio.Queue loses nothing, so what is checked is that all came through.
"""
import asyncio
import os
import random
import sys
import time

END = object()
HEAP = sys.argv[2] == "heap"


class Watch:
    def __init__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def per(self, items):
        return ((time.perf_counter() - self.wall) / items * 1e9,
                (time.process_time() - self.cpu) / items * 1e9)


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def produce(queue, items):
    for number in range(items):
        await queue.put(bytearray(64) if HEAP else number)


async def consume(queue, items):
    for _ in range(items):
        await queue.get()


async def stream(items, capacity):
    queue = asyncio.Queue(capacity)
    watch = Watch()
    await asyncio.gather(produce(queue, items), consume(queue, items))
    return watch.per(items)


async def work(queue):
    while True:
        await queue.get()
        queue.task_done()


async def fan_out(items):
    queue = asyncio.Queue(64)
    watch = Watch()
    workers = [asyncio.create_task(work(queue)) for _ in range(8)]
    await produce(queue, items)
    await queue.join()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return watch.per(items)


async def stage(source, sink, alive, seen):
    while True:
        item = await source.get()
        if item is END:
            alive[0] -= 1
            if alive[0] > 0:
                await source.put(END)
            elif sink is not None:
                await sink.put(END)
            return
        if sink is not None:
            await sink.put(item)
        else:
            seen[0] += 1


async def pipeline(items):
    queues = [asyncio.Queue(64) for _ in range(3)] + [None]
    seen = [0]

    async def source():
        await produce(queues[0], items)
        await queues[0].put(END)

    watch = Watch()
    stages = []
    for number in range(3):
        alive = [4]
        stages += [stage(queues[number], queues[number + 1], alive, seen) for _ in range(4)]
    await asyncio.gather(source(), *stages)
    assert seen[0] == items
    return watch.per(items)


async def nothing():
    return 1


async def one_yield():
    await asyncio.sleep(0)
    return 1


async def spawn(items, function):
    watch = Watch()
    async with asyncio.TaskGroup() as group:
        for _ in range(items):
            group.create_task(function())
    return watch.per(items)


async def spawn_and_join(items, function):
    watch = Watch()
    tasks = [asyncio.create_task(function()) for _ in range(items)]
    assert sum([await task for task in tasks]) == items
    return watch.per(items)


async def wait_for_an_item(queue):
    await queue.get()


async def weigh(items):
    queue = asyncio.Queue(1)
    before = resident()
    tasks = [asyncio.create_task(wait_for_an_item(queue)) for _ in range(items)]
    await asyncio.sleep(0)
    size = (resident() - before) / len(tasks)
    print(f"{size:.2f} {size:.2f}", flush=True)
    os._exit(0)


async def sleep_all(items):
    numbers = random.Random(1)
    durations = [numbers.random() * 0.1 for _ in range(items)]
    watch = Watch()
    async with asyncio.TaskGroup() as group:
        for duration in durations:
            group.create_task(asyncio.sleep(duration))
    return watch.per(items)


async def set_and_lift(items):
    loop = asyncio.get_running_loop()
    handles = [None] * 1000
    watch = Watch()
    for number in range(items):
        handle = handles[number % 1000]
        if handle is not None:
            handle.cancel()
        handles[number % 1000] = loop.call_later(0.5, int)
    return watch.per(items)


async def time_out(items):
    watch = Watch()
    for _ in range(items):
        async with asyncio.timeout(0.5):
            pass
    return watch.per(items)


async def cancel_all(items):
    queue = asyncio.Queue(1)
    cleaned = [0]

    async def victim():
        try:
            await queue.get()
        finally:
            cleaned[0] += 1

    tasks = [asyncio.create_task(victim()) for _ in range(items)]
    await asyncio.sleep(0)
    watch = Watch()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    result = watch.per(items)
    assert cleaned[0] == items
    return result


WORKLOADS = {
    "W1": (50_000, lambda items: stream(items, 1)),
    "W2": (200_000, lambda items: stream(items, 1024)),
    "W3": (200_000, fan_out),
    "W5": (50_000, pipeline),
    "W6a": (100_000, lambda items: spawn(items, nothing)),
    "W6b": (100_000, lambda items: spawn(items, one_yield)),
    "W6aj": (100_000, lambda items: spawn_and_join(items, nothing)),
    "W6bj": (100_000, lambda items: spawn_and_join(items, one_yield)),
    "W6m": (200_000, weigh),
    "W7": (100_000, sleep_all),
    "W7b": (200_000, set_and_lift),
    "W7bto": (200_000, time_out),
    "W8": (50_000, cancel_all),
    "W8x": (50_000, cancel_all),
}

if __name__ == "__main__":
    if sys.argv[1] not in WORKLOADS:
        sys.exit(2)
    usual, function = WORKLOADS[sys.argv[1]]
    if sys.argv[4:] == ["uvloop"]:
        import uvloop
        uvloop.install()
    print("%.2f %.2f" % asyncio.run(function(int(sys.argv[3]) or usual)))
