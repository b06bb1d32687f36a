#!/usr/bin/python3
"""A clock that is known to be wrong: nothing is signed, pages are taken and wait, people are told; and what teaches the time, and what does not."""
import os
import sqlite3
import subprocess
import tempfile
import time

import suite
from service import Asking, Service, sample
from standin_aws import BedrockStandin, write_keys

DAY_MS = 86_400_000


class AgedStandin(BedrockStandin):
    """With `aged`, somebody on the way answers for it from a store."""

    aged = False

    def _reply(self, s, status, headers, body, cut=None):
        super()._reply(s, status, dict(headers, **({"Age": "10"} if self.aged else {})), body, cut)


class Setup(Asking):
    def __init__(self, route="sydney"):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-clock-", dir="/tmp")
        self.aws = AgedStandin(self.folder.name)
        self.aws.start()
        keys = write_keys(self.folder.name, self.aws.credentials)
        self.service = Service({
            "Service": {"Lab": "yes"}, "Route": {"Backends": route}, "Credentials aws": {"Source": "file", "File": keys},
            "Backend sydney": {"Kind": "bedrock", "Model": "amazon.nova-pro-v1:0", "ConnectTo": "127.0.0.1:%d" % self.aws.port,
                               "CAFile": self.aws.ca_file, "Backoff": "50ms", "BackoffMax": "100ms", "FallbackAfter": "0s"}})


def floor(s):
    rows = s.rows("SELECT value FROM meta WHERE key = 'stamp_ms'")
    return int(rows[0]["value"]) if rows else 0


def set_floor(s, ms):
    db = sqlite3.connect(os.path.join(s.spool, "spool.db"))
    with db:
        db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('stamp_ms', ?)", (str(int(ms)),))
    db.close()


def sydney(s):
    return next(b for b in s.call("Status")["backends"] if b["name"] == "sydney")


def below_the_floor(s):
    """As after a power cut without a battery: the clock is a day behind what a server has proved."""
    s.stop()
    before = floor(s)
    set_floor(s, time.time() * 1000 + DAY_MS)
    s.start()
    return before


def test_below_the_floor_nothing_is_signed_and_scanning_goes_on():
    with Setup() as (aws, s):
        before = below_the_floor(s)
        ids = s.submit(sample("receipt-1"), "receipt") + s.submit(sample("receipt-2"), "receipt")
        s.wait(lambda: sydney(s)["state"] == "down")
        assert sydney(s)["reason"] == "clock" and "until it is set" in sydney(s)["message"], sydney(s)
        assert s.call("Status")["clock"] == "untrusted"
        assert aws.requests == [] and all(p["state"] == "queued" and p["tries"] == 0 for p in s.pages().values())
        said = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "status"], stdout=subprocess.PIPE, encoding="utf-8", check=True)
        assert "clock untrusted: it is known to be wrong" in said.stdout and "sydney: the clock is known to be wrong" in said.stdout, said.stdout
        s.stop()
        set_floor(s, before)
        s.start()
        s.wait_states(ids, {"done"})
        assert all(r["status"] == 200 for r in aws.requests), aws.requests


def test_below_the_floor_ocr_answers():
    with Setup(route="sydney ocr") as (aws, s):
        below_the_floor(s)
        s.wait_states(s.submit(sample("receipt-1"), "receipt"), {"provisional"})
        assert aws.requests == []


def test_only_a_server_raises_the_floor():
    with Setup() as (aws, s):
        s.wait_states(s.submit(sample("receipt-1"), "receipt"), {"done"})
        s.wait_states(s.submit(sample("receipt-2"), "receipt"), {"done"})
        want = time.time() * 1000 - DAY_MS
        assert want - 60_000 < floor(s) <= want + 2000, (floor(s), want)
    with Setup(route="ocr") as (aws, s):
        s.wait_states(s.submit(sample("receipt-1"), "receipt"), {"done"})
        assert floor(s) == 0, floor(s)  # whatever the machine's time service says


def test_a_date_out_of_a_store_teaches_nothing():
    with Setup() as (aws, s):
        aws.clock_offset_s, aws.aged = 3 * 3600, True
        ids = s.submit(sample("receipt-1"), "receipt")
        assert aws.wait_requests(5)
        assert {r.get("refused") for r in aws.requests} == {"InvalidSignatureException"}, aws.requests
        s.wait(lambda: sydney(s)["state"] == "down" and sydney(s)["reason"] == "clock")
        assert s.pages()[ids[0]]["tries"] == 0
        aws.aged = False
        s.wait_states(ids, {"done"})


suite.main()
