"""pgqueuer, with several queue managers in each process, as its own benchmark runs it.

PHASE --jobs N --database URL [--SETTING N]...
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import time
from importlib.metadata import version

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, PgQueuer, Queries

UNFINISHED = "select exists (select from pgqueuer)"
# What worker processes share with their parent: how many are ready, how many jobs have started and
# when the first did (0 until then). CLOCK_MONOTONIC is one clock for all processes.
READY, STARTED, FIRST = range(3)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("phase", choices=["enqueue", "drain"])
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--managers", type=int, default=1)
    parser.add_argument("--batch", type=int, default=500)
    return parser.parse_args()


async def enqueue(given):
    connection = await asyncpg.connect(given.database)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    for done in range(0, given.jobs, 5000):
        n = min(5000, given.jobs - done)
        await queries.enqueue(["noop"] * n, [None] * n, [0] * n)
    await connection.close()


async def work(given, shared, begin):
    """One worker process: connects, says so, begins when told, and works until it is ended."""
    managers = []
    started = 0

    async def noop(_job):
        nonlocal started
        if started == 0:
            with shared.get_lock():
                first = time.monotonic_ns()
                shared[FIRST] = min(shared[FIRST] or first, first)
        started += 1

    for _ in range(given.managers):
        manager = PgQueuer(AsyncpgDriver(await asyncpg.connect(given.database)))
        manager.entrypoint("noop")(noop)
        managers.append(manager)
    with shared.get_lock():
        shared[READY] += 1
    await asyncio.to_thread(begin.wait)
    for manager in managers:
        asyncio.create_task(manager.run(batch_size=given.batch))
    reported = 0
    while True:
        await asyncio.sleep(0.002)
        if started > reported:
            with shared.get_lock():
                shared[STARTED] += started - reported
            reported = started


def worker(*given):
    logging.disable(logging.WARNING)
    uvloop.run(work(*given))


async def drain(given):
    observer = await asyncpg.connect(given.database)
    shared = multiprocessing.Array("q", 3)
    begin = multiprocessing.Event()
    workers = [
        multiprocessing.Process(target=worker, args=(given, shared, begin), daemon=True)
        for _ in range(given.processes)
    ]
    for process in workers:
        process.start()

    async def until(condition):
        while not condition():
            if not all(process.is_alive() for process in workers):
                raise SystemExit("error: a worker process ended early")
            await asyncio.sleep(0.001)

    await until(lambda: shared[READY] == len(workers))
    begin.set()
    await until(lambda: shared[STARTED] >= given.jobs)
    # All have started, so that asking is cheap from here on: few can be left.
    while await observer.fetchval(UNFINISHED):
        await until(lambda: True)
        await asyncio.sleep(0.001)
    seconds = (time.monotonic_ns() - shared[FIRST]) / 1e9
    for process in workers:
        process.kill()
    settings = (
        f"processes {given.processes}, queue managers {given.managers} each, "
        f"batch_size {given.batch}, asyncpg, uvloop, durability durable"
    )
    line = {"peer": f"pgqueuer {version('pgqueuer')}", "mode": "drain", "jobs": given.jobs}
    line |= {"seconds": seconds, "rate": given.jobs / seconds, "settings": settings}
    print(json.dumps(line))


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    given = arguments()
    uvloop.run({"enqueue": enqueue, "drain": drain}[given.phase](given))
