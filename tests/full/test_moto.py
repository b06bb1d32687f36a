#!/usr/bin/python3
"""Our requests against moto with its signature checking on: someone else's server accepts them, and refuses a wrong key."""
import contextlib
import tempfile

import botocore.exceptions

import suite
from moto import Moto


@contextlib.contextmanager
def running():
    with tempfile.TemporaryDirectory(prefix="pageferry-moto-", dir="/tmp") as folder, Moto(folder) as m:
        yield m, folder


def test_it_checks_signatures():
    """The oracle itself: botocore's right key passes, its wrong one does not."""
    with running() as (m, _):
        assert m.client("sts").get_caller_identity()["Arn"].endswith(":user/pageferry")
        m.secret_key = "x" * 40
        try:
            m.client("sts").get_caller_identity()
        except botocore.exceptions.ClientError as e:
            assert e.response["Error"]["Code"] == "SignatureDoesNotMatch", e
        else:
            raise AssertionError("a wrong secret was taken")


suite.main()
