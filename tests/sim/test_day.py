#!/usr/bin/python3
"""A day of 10,000 pages at a server with quotas, those that were told and those that were not (tests/sim/day.c); and a service that learns nothing fails it."""
import os
import subprocess

import suite


def day(name, fault=False, **env):
    program = os.path.join(os.environ["PAGEFERRY_FAULT_BUILD" if fault else "PAGEFERRY_BUILD"], "sim", "sim")
    p = subprocess.run([program, "day", name], env=dict(os.environ, **env), stdout=subprocess.PIPE, text=True, timeout=600, check=False)
    print("\n".join(line for line in p.stdout.splitlines() if line.startswith("# day")), flush=True)
    return p.returncode, [line for line in p.stdout.splitlines() if line.startswith(("ok", "not ok"))]


def passes(name):
    code, said = day(name)
    assert code == 0 and len(said) == 1, said


def test_quotas_that_were_told():
    passes("told")


def test_a_quota_of_requests():
    passes("requests")


def test_a_quota_of_tokens():
    passes("tokens")


def test_a_quota_by_the_minute_of_the_clock():
    passes("by-the-clock")


def test_quotas_with_hints():
    passes("with-hints")


def test_a_service_that_learns_nothing_is_caught():
    code, said = day("requests", fault=True, PAGEFERRY_BUG="courier-no-pace")
    assert code == 1 and ("% too many" in said[0] or "has waited" in said[0]), said


suite.main()
