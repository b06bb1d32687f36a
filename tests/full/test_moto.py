#!/usr/bin/python3
"""Our requests against moto with its signature checking on: someone else's server accepts them, and refuses a wrong key."""
import contextlib
import json
import tempfile

import botocore.exceptions

import suite
from moto import Moto
from service import Service, sample
from standin_aws import REGION


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


def service(m, folder, secret=None, credentials=None, **more):
    return Service({"Service": {"Lab": "yes"}, "Route": {"Backends": "own"},
                    "Credentials keys": {"Source": "file", "File": m.credentials_file(folder, secret)},
                    "Credentials aws": credentials or {"Source": "file", "File": m.credentials_file(folder, secret)},
                    "Backend own": dict({"Kind": "sagemaker", "EndpointName": "qwen25vl-syd", "PricePerRequest": "0", "ConnectTo": "127.0.0.1:%d" % m.port,
                                         "CAFile": m.ca_file, "Backoff": "100ms",
                                         "CustomAttributes": "trace=1, page", "TargetVariant": "blue"}, **more)})


def sagemaker_answers(m, *bodies):
    results = [{"Body": b, "ContentType": "application/json"} for b in bodies]
    m.post("/moto-api/static/sagemaker/endpoint-results", json.dumps({"region": REGION, "results": results}))


def test_sagemaker_takes_a_signed_page():
    text = json.dumps({"merchant_name": "GLEBE CORNER STORE", "total": "11.00"})
    chat = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}
    for form, reply in (("plain", [{"generated_text": text}]), ("openai", chat)):
        with running() as (m, folder):
            sagemaker_answers(m, json.dumps(reply))
            with service(m, folder, Form=form) as s:
                ids = s.submit(sample("receipt-1"), "receipt")
                s.wait_states(ids, {"done"})
                fields = s.call("Show", page=ids[0])["results"][0]["fields"]
                assert fields["total"]["value"] == "11.00", fields


def test_sagemaker_refuses_a_wrong_secret():
    with running() as (m, folder), service(m, folder, secret="x" * 40) as s:
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait(lambda: s.rows("SELECT 1 FROM attempts WHERE http_status = 403"))
        assert s.pages()[ids[0]]["state"] == "queued" and s.pages()[ids[0]]["tries"] == 0


def make_role(m):
    """Its ARN; it may do all, and the user may assume it."""
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:*"}]}
    all_of_it = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam = m.client("iam")
    arn = iam.create_role(RoleName="scanner", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="scanner", PolicyName="all", PolicyDocument=json.dumps(all_of_it))
    return arn


def by_role(m, **more):
    return dict({"RoleArn": make_role(m), "ConnectTo": "127.0.0.1:%d" % m.port, "CAFile": m.ca_file}, **more)


def test_sts_gives_a_role():
    """What somebody else's STS checks and answers."""
    with running() as (m, folder), service(m, folder, credentials=by_role(m, Source="assume-role", SourceCredentials="keys")) as s:
        what = s.wait(lambda: [f["what"] for f in s.call("Doctor", areas=["credentials"])["findings"] if f["level"] == "ok" and f["what"].startswith("aws (")])
        assert "from role scanner" in what[0] and "until 20" in what[0], what


def test_sts_refuses_a_wrong_secret():
    with running() as (m, folder), service(m, folder, secret="x" * 40, credentials=by_role(m, Source="assume-role", SourceCredentials="keys")) as s:
        ids = s.submit(sample("receipt-1"), "receipt")
        # its error is not in the form of STS: that it is one is all that can be told
        s.wait(lambda: [b for b in s.call("Status")["backends"] if b["name"] == "own" and "STS answers 403" in (b.get("message") or "")])
        assert s.pages()[ids[0]]["state"] == "queued" and not s.rows("SELECT id FROM attempts")


suite.main()
