#!/usr/bin/python3
"""Web identities against a strict stand-in for STS: a token that somebody writes into a file, its end and what else goes wrong."""
import os

import suite
from credential_sources import ROLE, TROUBLES, Files, always
from credentialed import KEYS, suffers
from standin_sts import StsStandin


def test_web_identity():
    def make(folder):
        files = Files(folder)
        files.write("token", "eyJ0.old.token\n")
        source = StsStandin(folder, KEYS, {}, tokens=["eyJ0.new.token"])
        source.files = files
        return source, {"Source": "web-identity", "RoleArn": ROLE, "TokenFile": files.path("token"), "ConnectTo": "127.0.0.1:%d" % source.port,
                        "CAFile": source.ca_file}
    suffers(make, [
        (lambda source: None, "whoever writes its file must renew it"),
        (always("InvalidIdentityToken"), "cannot be read or was not signed"),
        (always("IDPRejectedClaim"), "rejects the token"),
        (always("IDPCommunicationError"), "cannot reach the token's provider"),
        (always("AccessDenied"), "sts:AssumeRoleWithWebIdentity"),
        (lambda source: (source.files.write("token", "eyJ0.new.token"), TROUBLES[0][0](source)), TROUBLES[0][1]),
    ] + TROUBLES[3:6] + [
        (lambda source: (always(None)(source), os.unlink(source.files.path("token"))), "No such file"),
        (lambda source: source.files.write("token", "two words"), "not one word"),
        (lambda source: source.files.write("token", "x" * 30000), "larger than 20000 bytes"),
    ], lambda source: source.files.write("token", "eyJ0.new.token\n"), timeout="1s")


suite.main()
