#!/usr/bin/python3
"""Credentials of programs and of the AWS command line's profiles, failures included: no page is lost, charged or rejected, and all of
them go once the source does well again."""
import datetime
import json
import os
import stat

import suite
from credential_sources import BASE, KEYS, OTHER, ini, printed, profile, program, rotates
from credentialed import Setup, goes_through, mended, suffers
from service import sample


def mode(name):
    return lambda f: f.write("mode", name)


def test_program():
    with Setup(program, timeout="1s") as setup:
        f, _, s = setup
        setup_secrets = ["hunter2", "secret-on-stderr"]
        ids = s.submit(sample("receipt-1"), "receipt")
        mended(setup, ids)
        assert not [w for w in setup_secrets if w in s.read_log() + json.dumps(s.call("Doctor", areas=["credentials"]))]
        assert len(open(f.path("runs"), encoding="ascii").readlines()) == 1, "what has no end is kept"


def test_program_troubles():
    past = (datetime.datetime.utcnow() - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    suffers(program, [
        (mode("dies"), "ended with status 3"),
        (mode("killed"), "was killed by a signal"),
        (mode("hangs"), "took too long"),
        (mode("garbage"), "is no JSON object"),
        (mode("much"), "printed too much"),
        (mode("half"), "is no JSON object"),
        (lambda f: (f.write("good", printed(KEYS, Version=2)), f.write("mode", "good")), "not of Version 1"),
        (lambda f: f.write("good", printed(KEYS, Expiration=past)), "have expired"),
        (lambda f: f.write("good", printed(KEYS, Expiration="soon")), "expiry is not a time"),
        (lambda f: f.write("good", printed(KEYS[:1])), "no secret key"),
        (lambda f: os.chmod(f.path("prog"), stat.S_IRUSR), "cannot be run"),
    ], lambda f: (f.write("good", printed(KEYS)), os.chmod(f.path("prog"), 0o700)), timeout="1s")


# ---- profiles -------------------------------------------------------------------------------------------------------


CHAIN = "[profile scanner]\nrole_arn = %(role)s\nsource_profile = middle\nexternal_id = x1\n[profile middle]\nrole_arn = %(middle)s\nsource_profile = base\n"


def test_profile_with_roles():
    requests = goes_through(lambda folder: profile(folder, CHAIN))
    assert [r["status"] for r in requests] == [200, 200], requests


def test_profile_troubles():
    def rewrite(old, new):
        def change(source):
            with open(source.files.path("config"), encoding="ascii") as f:
                text = f.read()
            assert old in text
            source.good = text
            source.files.write("config", text.replace(old, new))
        return change

    def back(change):
        return lambda source: (source.files.write("config", source.good), change(source))
    suffers(lambda folder: profile(folder, CHAIN), [
        (lambda source: os.unlink(source.files.path("credentials")), "no profile [base]"),
        (lambda source: (source.files.write("credentials", ini(BASE, "base")), rewrite("= base", "= scanner")(source)), "leads back to it"),
        (back(rewrite("external_id = x1", "external_id = x2")), "role scanner: these credentials may not assume the role"),
        (back(rewrite("external_id = x1", "mfa_serial = x")), "needs a person"),
        (back(rewrite("[profile scanner]", "[profile scanner")), "] is missing"),
    ], lambda source: source.files.write("config", source.good))


def test_profile_of_keys_rotates():
    def make(folder):
        source, section = profile(folder, "")
        source.files.write("credentials", ini(KEYS, "scanner"))
        return source, section
    rotates(make, lambda source: source.files.write("credentials", ini(OTHER, "scanner")))


def test_profile_with_a_program():
    def make(folder):
        files, _ = program(folder)
        source, section = profile(folder, "[profile scanner]\ncredential_process = %(folder)s/prog\n")
        return source, section
    goes_through(make)


suite.main()
