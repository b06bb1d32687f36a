#!/usr/bin/python3
"""Credentials of files, the environment and Bedrock API keys, failures included, and keys that end while pages wait: no page is lost,
charged or rejected, and all of them go once the source does well again. Programs, profiles and STS: test_credentials_programs.py,
test_credentials_sts.py, test_credentials_web.py; devices and clouds: test_device_credentials.py."""
import base64
import datetime
import json
import os

import suite
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from credential_sources import OTHER, ROLE, Files, file_source, ini, printed, program, role, rotates, write
from credentialed import KEYS, Nothing, Setup, changed, goes_through, mended, says, suffers, waits
from service import sample
from standin_aws import REGION, BedrockStandin, Refused
from standin_credentials import ContainerStandin, ImdsStandin


def test_file():
    suffers(file_source, [
        (lambda f: os.unlink(f.path("keys")), "there is no such file"),
        (lambda f: f.write("keys", ""), "has no profile [default]"),
        (lambda f: f.write("keys", "<html>" * 1000), "has no profile"),
        (lambda f: f.write("keys", ini(KEYS[:1])), "no secret key"),
        (lambda f: f.write("keys", "{\"AccessKeyId\":"), "neither a JSON object"),
        (lambda f: f.write("keys", ini(KEYS) + "x" * 70000), "larger than 64 KiB"),
        (lambda f: f.write("keys", ini(KEYS, more="aws_credential_expiration = 2020-01-01T00:00:00Z\n")), "have expired"),
    ], lambda f: f.write("keys", ini(KEYS)))


def test_environment():
    def env(_):
        return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), KEYS))
    goes_through(lambda _: (Nothing(), {"Source": "environment"}), env=env)
    with Setup(lambda _: (Nothing(), {"Source": "environment"})) as setup:
        waits(setup, "environment has no AWS_ACCESS_KEY_ID")


def test_systemd_credential():
    def make(folder):
        files = Files(folder)
        files.write("aws-keys", json.dumps(dict(zip(("AccessKeyId", "SecretAccessKey", "SessionToken"), KEYS))))
        return files, {"Source": "systemd-credential", "Credential": "aws-keys"}
    goes_through(make, env=lambda folder: {"CREDENTIALS_DIRECTORY": folder})
    with Setup(make) as setup:
        waits(setup, "LoadCredential=")


def test_keys_that_aws_refuses():
    """They can be read, and are of no use: the doctor says so, not that all is well."""
    with Setup(changed(file_source, lambda f, _: f.write("keys", ini(OTHER)))) as (files, aws, s):
        ids = s.submit(sample("receipt-1"), "receipt")
        assert "IAM" in says(s, "AWS refuses what file ")["advice"]
        page = s.pages()[ids[0]]
        assert page["state"] == "queued" and page["tries"] == 0, page
        files.write("keys", ini(KEYS))
        s.wait_states(ids, {"done"})
        says(s, "from file ", "ok")
        rows = s.rows("SELECT outcome, charged, settled_pusd FROM attempts")
        assert [r for r in rows if r["outcome"] != "done"] == [{"outcome": "untouched", "charged": 0, "settled_pusd": 0}] * (len(rows) - 1), rows


# ---- keys that end while pages wait ---------------------------------------------------------------------------------


def test_file_rotates():
    rotates(file_source, lambda f: f.write("keys", ini(OTHER)))


def test_program_rotates():
    rotates(program, lambda f: f.write("good", printed(OTHER)))


def test_role_rotates():
    rotates(role, lambda source: source.roles[ROLE].update(gives=OTHER))


def test_container_and_instance_rotate():
    def container(folder):
        source = ContainerStandin(KEYS, "token-1")
        write(os.path.join(folder, "token"), "token-1\n")
        return source, {"Source": "container", "Endpoint": "http://127.0.0.1:%d/creds" % source.port, "TokenFile": os.path.join(folder, "token")}

    def imds(_):
        source = ImdsStandin(KEYS)
        return source, {"Source": "imds", "ConnectTo": "127.0.0.1:%d" % source.port}
    for make in (container, imds):
        rotates(make, lambda source: setattr(source, "credentials", OTHER))


# ---- Bedrock API keys -----------------------------------------------------------------------------------------------


def short_term(region=REGION, age_s=0, life_s=36000):
    """As AWS's token generator makes them: a presigned call, by botocore."""
    request = AWSRequest("POST", "https://bedrock.amazonaws.com/", headers={"host": "bedrock.amazonaws.com"}, params={"Action": "CallWithBearerToken"})

    class At(SigV4QueryAuth):
        def _modify_request_before_signing(self, request):
            when = datetime.datetime.utcnow() - datetime.timedelta(seconds=age_s)
            request.context["timestamp"] = when.strftime("%Y%m%dT%H%M%SZ")
            super()._modify_request_before_signing(request)
    At(Credentials(*OTHER), "bedrock", region, expires=life_s).add_auth(request)
    return "bedrock-api-key-" + base64.b64encode((request.url[len("https://"):] + "&Version=1").encode()).decode()


class Bearer(BedrockStandin):
    """Takes API keys alone, and none but `accepted`."""
    accepted = None

    def _check_signature(self, line, headers, body):
        names = [n.lower() for n, _ in headers]
        h = {n.lower(): v for n, v in headers}
        if names.count("authorization") != 1 or [n for n in names if n.startswith("x-amz-")]:
            raise Refused(400, "IncompleteSignatureException", "a bearer token alone was expected")
        if h["host"] != self.host or not h["authorization"].startswith("Bearer "):
            raise Refused(403, "AccessDeniedException", "wrong host or scheme")
        if h["authorization"] != "Bearer " + str(self.accepted):
            raise Refused(403, "AccessDeniedException", "Authentication failed: Please make sure your API Key is valid.")


def api_key(folder):
    files = Files(folder)
    files.write("key", short_term())
    return files, {"Source": "api-key", "File": files.path("key")}


def test_api_key():
    for key in (short_term(), "ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl"):
        with Setup(changed(api_key, lambda f, _, key=key: f.write("key", key + "\n")), aws=Bearer) as setup:
            files, aws, s = setup
            aws.accepted = key
            ids = s.submit(sample("receipt-1"), "receipt")
            mended(setup, ids)
            f = says(s, "API key (short-term)" if key.startswith("bedrock") else "API key (long-term)", "ok")
            assert ("until 20" in f["what"]) == key.startswith("bedrock"), f
            files.write("key", short_term(life_s=1800))
            assert "put new ones" in says(s, "which is soon", "warning")["advice"]
            assert key not in s.read_log() + json.dumps(f), f


def test_api_key_troubles():
    good = short_term()

    class Good(Bearer):
        accepted = good
    suffers(api_key, [
        (lambda f: f.write("key", short_term("us-east-1")), "was made for us-east-1 and works nowhere else"),
        (lambda f: f.write("key", short_term(age_s=36000)), ": ended 20"),
        (lambda f: f.write("key", good[:100]), "was it cut?"),
        (lambda f: f.write("key", "two words"), "not one line without blanks"),
        (lambda f: os.chmod(f.path("key"), 0o644), "others may read it"),
        (lambda f: os.unlink(f.path("key")), "no such file"),
    ], lambda f: f.write("key", good), aws=Good)


def test_api_key_that_aws_refuses():
    """The page waits without a try; another key in the file's place sends it, with no restart."""
    with Setup(api_key, aws=Bearer) as (files, aws, s):
        aws.accepted = short_term(life_s=30000)
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait(lambda: [b for b in s.call("Status")["backends"] if b["name"] == "sydney" and b["state"] == "down"])
        assert s.pages()[ids[0]]["state"] == "queued" and s.pages()[ids[0]]["tries"] == 0
        files.write("key", aws.accepted)
        s.wait_states(ids, {"done"})
        rows = s.rows("SELECT outcome, charged, settled_pusd FROM attempts")
        assert [(r["outcome"], r["charged"]) for r in rows[:-1]] == [("untouched", 0)] * (len(rows) - 1) and rows[-1]["outcome"] == "done", rows
        assert not [r for r in rows[:-1] if r["settled_pusd"]], rows


suite.main()
