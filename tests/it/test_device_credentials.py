#!/usr/bin/python3
"""Credentials of devices and clouds, each by its real protocol against a strict stand-in, failures included: pages wait, no page is
lost, charged or rejected, and all of them go once the source does well again."""
import json
import os

import suite
from credentialed import KEYS, Setup, changed, goes_through, mended, waits
from standin_credentials import IOT_HOST, AnywhereStandin, Authority, ContainerStandin, ImdsStandin, IotStandin

ARNS = {"profileArn": "arn:aws:rolesanywhere:ap-southeast-2:111122223333:profile/p-1",
        "roleArn": "arn:aws:iam::111122223333:role/pageferry",
        "trustAnchorArn": "arn:aws:rolesanywhere:ap-southeast-2:111122223333:trust-anchor/t-1"}


def iot(folder, **given):
    authority = Authority(folder)
    source = IotStandin(folder, authority, KEYS)
    cert, key = authority.give("scanner-1", **given)
    return source, {"Source": "iot", "Endpoint": "https://" + IOT_HOST, "ConnectTo": "127.0.0.1:%d" % source.port, "CAFile": source.ca_file,
                    "Certificate": cert, "Key": key, "RoleAlias": "scan-alias", "ThingName": "scanner-1"}


def anywhere(folder, **given):
    authority = Authority(folder)
    source = AnywhereStandin(folder, authority, KEYS, ARNS)
    cert, key = authority.give("scanner-1", **given)
    return source, {"Source": "roles-anywhere", "ConnectTo": "127.0.0.1:%d" % source.port, "CAFile": source.ca_file, "Certificate": cert,
                    "Key": key, "ProfileArn": ARNS["profileArn"], "RoleArn": ARNS["roleArn"], "TrustAnchorArn": ARNS["trustAnchorArn"]}


def imds(folder):
    source = ImdsStandin(KEYS)
    return source, {"Source": "imds", "ConnectTo": "127.0.0.1:%d" % source.port}


def container(folder):
    source = ContainerStandin(KEYS, "token-1")
    path = os.path.join(folder, "token")
    with open(path, "w", encoding="ascii") as f:
        f.write("token-1\n")
    return source, {"Source": "container", "Endpoint": "http://127.0.0.1:%d/creds" % source.port, "TokenFile": path}


def test_iot():
    requests = goes_through(iot)
    assert [r["status"] for r in requests] == [200], requests
    assert requests[0]["line"] == "GET /role-aliases/scan-alias/credentials HTTP/1.1"


def test_iot_with_rsa():
    goes_through(lambda folder: iot(folder, kind="rsa"))


def test_iot_troubles_pass():
    requests = goes_through(iot, [429, "expired"])
    assert len(requests) == 3, requests


def test_iot_large_reply_is_taken():
    goes_through(iot, ["3kb"])


def test_iot_certificate_that_is_not_active():
    with Setup(changed(iot, lambda source, _: setattr(source, "active", False))) as setup:
        ids = waits(setup, "iot:AssumeRoleWithCertificate")
        setup[0].active = True
        mended(setup, ids)


def test_iot_wrong_and_expired_certificates():
    """Another authority's, and one that ended yesterday: replaced in place by the right one, without a restart."""
    for days, name in (((-1, 30), "Strangers"), ((-30, -1), "Devices")):
        right = {}

        def spoil(source, folder, days=days, name=name, right=right):
            for path in (os.path.join(folder, "scanner-1" + e) for e in (".pem", ".key")):
                with open(path, "rb") as f:
                    right[path] = f.read()
            if name == "Strangers":
                Authority(folder, name).give("scanner-1")
            else:
                source.authority.give("scanner-1", days=days)

        with Setup(changed(iot, spoil)) as setup:
            ids = waits(setup, "ertificate")  # a refused handshake or a broken connection: whoever is faster, the certificate is named
            assert "getpeername" not in json.dumps(setup[2].call("Status")["backends"])
            for path, data in right.items():
                with open(path, "wb") as f:
                    f.write(data)
            mended(setup, ids)


def test_iot_unknown_alias():
    with Setup(changed(iot, lambda source, _: setattr(source, "alias", "another"))) as setup:
        ids = waits(setup, "RoleAlias=")
        setup[0].alias = "scan-alias"
        mended(setup, ids)


def test_key_that_others_can_read():
    with Setup(changed(iot, lambda _, folder: os.chmod(os.path.join(folder, "scanner-1.key"), 0o644))) as setup:
        key = os.path.join(os.path.dirname(setup[0].ca_file), "scanner-1.key")
        ids = waits(setup, "chmod 0600")
        assert not setup[0].requests
        os.chmod(key, 0o600)
        mended(setup, ids)


def test_roles_anywhere():
    for kind in ("ec", "rsa"):
        requests = goes_through(lambda folder, kind=kind: anywhere(folder, kind=kind, serial=2**158 + 12345))
        assert [r["status"] for r in requests] == [201], requests


def test_roles_anywhere_troubles_pass():
    goes_through(anywhere, [503, "garbage"])


def test_roles_anywhere_expired_certificate():
    with Setup(lambda folder: anywhere(folder, days=(-30, -1))) as setup:
        waits(setup, "has expired on")
        assert setup[0].statuses()[0] == 403, setup[0].requests


def test_roles_anywhere_untrusted_certificate():
    with Setup(changed(anywhere, lambda _, folder: Authority(folder, "Strangers").give("scanner-1"))) as setup:
        waits(setup, "trust anchor")
        assert "Untrusted" in setup[0].requests[0]["message"]


def test_imds():
    requests = goes_through(imds)
    assert [r["line"].split(" ")[0] for r in requests] == ["PUT", "GET", "GET"], requests


def test_imds_troubles_pass():
    goes_through(imds, [403])


def test_imds_old_keys_serve_on():
    goes_through(lambda folder: (lambda made: (setattr(made[0], "life", -60), made)[1])(imds(folder)))


def test_imds_version_1_by_configuration_only():
    def make(folder, **more):
        source, section = imds(folder)
        source.version_1 = True
        return source, dict(section, **more)
    with Setup(make) as setup:
        waits(setup, "Version1=yes")
    goes_through(lambda folder: make(folder, Version1="yes"))


def test_imds_without_a_role_and_with_two():
    for roles, say in (("", "no role"), ("a\nb\n", "exactly one")):
        with Setup(changed(imds, lambda source, _, roles=roles: setattr(source, "roles", roles))) as setup:
            ids = waits(setup, say)
            setup[0].roles = "scan-role\n"
            mended(setup, ids)


def test_container():
    assert [r["status"] for r in goes_through(container)] == [200]


def test_container_token_is_read_again():
    with Setup(changed(container, lambda source, _: setattr(source, "token", "token-2"))) as setup:
        ids = waits(setup, "TokenFile=")
        with open(os.path.join(os.path.dirname(setup[1].ca_file), "token"), "w", encoding="ascii") as f:
            f.write("token-2\n")
        mended(setup, ids)


def test_container_troubles_pass():
    goes_through(container, ["cut"])


suite.main()
