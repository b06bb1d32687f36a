#!/usr/bin/python3
"""A long backlog costs neither memory nor descriptors, is listed whole, lets a page through that was scanned just now, and drains by itself.
Nothing here is a time; tests/full/test_backlog.py has those, with 100,000 pages."""
import os

import suite
from backlog import Backlog
from service import build_folder, descriptors, private_dirty

N = 5000
MIB = 1024  # in KiB
ASAN = build_folder().endswith("-asan")  # its allocator keeps what is freed


def backend_is(b, state):
    """Down: recovery has ended, for only then a page is tried."""
    b.service.wait(lambda: any(k["name"] == "jetson" and k["state"] == state for k in b.service.call("Status")["backends"]))


def mixed(i):
    """Both lanes and jobs, all numbers of tries, pages that wait for a better answer, and pages that wait for a person."""
    tries = i % 6
    return dict({0: {}, 1: {"state": "provisional", "answered": "ocr"}, 2: {"state": "held", "reason": "refused: a test"}}.get(i % 5, {}),
                lane=i // 2 % 2, of=i % 2, tries=tries, tried_ms=1767225600000 + i if tries else 0)


def test_memory_and_descriptors_are_those_of_an_empty_spool():
    with Backlog() as b:
        b.fill(1)
        b.service.start()
        backend_is(b, "down")
        memory, fds = private_dirty(b.service.process.pid), descriptors(b.service.process.pid)
        b.service.stop()
        b.fill(N, mixed)
        b.service.start()
        backend_is(b, "down")
        pid = b.service.process.pid
        assert ASAN or private_dirty(pid) <= memory + 2 * MIB, (memory, private_dirty(pid))
        b.service.wait(lambda: descriptors(pid) <= fds + 3)  # a probe has its own for a moment, a timer from when it is first used
        counts = b.service.call("Status")["counts"]
        assert counts == {"queued": 3 * N // 5 + 1, "provisional": N // 5, "held": N // 5, "done": 2, "undelivered": 0}, counts
        assert b.service.rows("SELECT reason, count(*) AS n FROM pages WHERE state = 'held' GROUP BY reason") == [{"reason": "refused: a test", "n": N // 5}]


def listed(b, **parameters):
    """Replies of List, a list of ids each."""
    with b.service.client() as v:
        r = {"more": True}
        while r["more"]:
            r = v.call("io.pageferry.List", dict(parameters, **({"before": r["before"]} if r.get("before") else {})))
            yield [p["id"] for p in r["pages"]]


def test_list_gives_each_page_once_while_others_come_and_go():
    with Backlog() as b:
        b.fill(N, mixed)
        b.service.start()
        want = [r["page"] for r in b.service.rows("SELECT page FROM pages ORDER BY seq DESC")]
        queued = [r["page"] for r in b.service.rows("SELECT page FROM pages WHERE state = 'queued' ORDER BY seq DESC")]
        b.backend.start()
        got, calls = [], 0
        for r in listed(b, limit=100):
            got, calls = got + r, calls + 1
            if calls % 10 == 0:
                b.service.submit(b.page, "receipt")
        assert got == want and calls >= N // 100, (len(got), len(want), calls)
        b.service.wait(lambda: b.service.call("Status")["counts"]["done"] > 12)
        now = [p for r in listed(b, limit=150, filter={"state": "queued"}) for p in r]  # those done by the next call are its cursor too
        left = {p["page"] for p in b.service.rows("SELECT page FROM pages WHERE state = 'queued'")}
        assert len(now) == len(set(now)) and left <= set(now) | set(b.service.pages()) - set(want), "queued pages are missing from the list"
        assert [p for p in now if p in set(queued)] == [p for p in queued if p in set(now)], "not in order"


def order_of(b, pages):
    """Where the pages are among the requests that the backend has had."""
    sums = {r["sha256"] for r in b.service.rows("SELECT page, sha256 FROM pages") if r["page"] in pages}
    return [i for i, r in enumerate(b.backend.requests) if r.get("page") in sums]


def test_page_scanned_now_does_not_wait_behind_an_outage():
    """All of the outage's pages were scanned by somebody too: they are in the same lane."""
    with Backlog() as b:
        b.fill(1000)
        b.service.start()
        backend_is(b, "down")
        pages = [b.service.submit(b.page, "receipt")[0] for _ in range(12)]
        b.backend.requests.clear()
        b.backend.start()
        b.service.wait_states(pages, {"done"})
        order = order_of(b, pages)
        assert len(order) == 12 and order[-1] <= 12 + 12 // 3 + 3, order  # three of four are for them
        assert order[-1] >= 12 + 12 // 3 - 2, order  # and one of four for the others
        done = [r["seq"] for r in b.service.rows("SELECT seq FROM pages WHERE state = 'done' AND seq > 2 AND seq <= 1002 ORDER BY seq")]
        assert done == list(range(3, 3 + len(done))), done  # in the order of acceptance


def test_draining_does_not_grow():
    """Nor does a monitor that never reads make it grow."""
    n, warm = 250, 60
    with Backlog() as b:
        b.fill(n, lambda i: {"lane": 1, "of": i % 2})
        b.service.start()
        pid = b.service.process.pid
        with b.service.client() as deaf:
            deaf.send("io.pageferry.Monitor", {}, more=True)
            b.backend.start()
            b.service.wait(lambda: b.service.call("Status")["counts"]["done"] >= warm)
            memory = private_dirty(pid)
            b.service.wait(lambda: b.service.call("Status")["counts"]["done"] == n + 2)
            b.service.wait(lambda: b.service.call("Status")["counts"]["undelivered"] == 0)
            assert ASAN or private_dirty(pid) <= memory + MIB, (memory, private_dirty(pid))
            assert os.path.getsize(b.service.spool + "/spool.db-wal") <= 4 << 20
        assert b.service.rows("SELECT count(*) AS n FROM results")[0]["n"] == n + 2
        assert len(os.listdir(b.service.spool + "/results")) == n + 2


suite.main()
