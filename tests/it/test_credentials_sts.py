#!/usr/bin/python3
"""Roles against a strict stand-in for STS, failures included: no page is lost, charged or rejected, and all of them go once it does well
again. Web identities: test_credentials_web.py."""
import os

import suite
from credential_sources import BASE, OTHER, TROUBLES, always, ini, role
from credentialed import Setup, gone_once, goes_through, suffers
from service import sample


def test_role():
    requests = goes_through(role)
    assert [r["status"] for r in requests] == [200], requests


def test_role_troubles():
    suffers(role, [
        (always("AccessDenied"), "let its trust policy name them"),
        (always("ExpiredToken"), "the credentials that were to assume the role have expired"),
        (always("SignatureDoesNotMatch"), "the clock is wrong"),
        (always("InvalidClientTokenId"), "does not know the access key"),
    ] + TROUBLES + [
        (lambda source: (always(None)(source), source.files.write("base", ini((BASE[0], "wrong/secret")))), "secret key is another one"),
        (lambda source: source.files.write("base", ini(OTHER)), "does not know the access key"),
        (lambda source: os.unlink(source.files.path("base")), "there is no such file"),
    ], lambda source: source.files.write("base", ini(BASE)), timeout="1s")


def test_role_troubles_pass_by_themselves():
    requests = goes_through(role, ["cut", "garbage", "Throttling"])
    assert len(requests) == 4, requests


def test_clocks_differ():
    """STS's clock and Bedrock's are two hours ahead: what their Date says is learned, and the second request is right."""
    def make(folder):
        source, section = role(folder)
        source.clock_offset_s = 7200
        return source, section
    with Setup(make) as (source, aws, s):
        aws.clock_offset_s = 7200
        gone_once(aws, s, s.submit(sample("receipt-1"), "receipt"))
        assert source.statuses() == [403, 200] and "Signature expired" in source.requests[0]["message"], source.requests


suite.main()
