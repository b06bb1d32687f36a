#!/usr/bin/python3
"""The simulation can fail: each planted bug of the courier (fault build) is caught by one of some seeds, for the right reason."""
import os
import subprocess

import suite

SIM = os.path.join(os.environ["PAGEFERRY_FAULT_BUILD"], "sim", "sim")
SEEDS = range(1, 31)


def caught(bug, *why, first=2):
    """`first`: the seed that is likely to."""
    for seed in [first] + [s for s in SEEDS if s != first]:
        p = subprocess.run([SIM, str(seed)], env=dict(os.environ, PAGEFERRY_BUG=bug, DAYS="8"), stdout=subprocess.PIPE, text=True, timeout=300)
        if p.returncode == 0:
            continue
        said = [line for line in p.stdout.splitlines() if line.startswith("not ok")]
        assert said and any(w in said[0] for w in why), "%s: caught as %s" % (bug, said)
        return
    raise AssertionError("%s is not caught" % bug)


def test_a_backend_that_is_down_is_asked_at_once():
    caught("courier-no-backoff", "which is down", "spins")


def test_every_page_is_a_probe():
    caught("courier-probe-by-all", "beside the probe")


def test_the_backlog_has_no_share():
    caught("courier-no-share", "in a row from lane 0", "fine for hours", first=3)


def test_lanes_are_ignored():
    caught("courier-one-lane", "in a row from lane", "fine for hours", first=10)


def test_an_attempt_is_left_open():
    caught("courier-attempt-left-open", "attempts are open")


def test_delays_by_the_wall_clock():
    caught("courier-wall-clock", "fine for hours", "not drained", "which is down", first=1)


def test_pages_age_by_the_wall_clock():
    caught("age-wall-clock", "aged out after")


def test_tries_have_no_bound():
    caught("courier-no-bound", "tries", "paid for")


def test_the_reservation_comes_late():
    caught("send-reserve-after", "more than was reserved")


def test_nothing_is_counted_a_minute():
    caught("courier-no-rate", "more than RequestsPerMinute=")


def test_the_same_content_is_paid_for_twice():
    caught("courier-pays-twice", "is paid for")


def test_a_document_is_ended_in_two_commits():
    caught("document-two-commits", "wait for its end", first=16)


suite.main()
