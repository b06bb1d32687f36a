#!/usr/bin/python3
"""Our requests against moto with its signature checking on: someone else's server accepts them, and refuses a wrong key or what IAM forbids."""
import contextlib
import json
import os
import tempfile

import botocore.exceptions
from PIL import Image

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


def small_page(folder):
    """moto searches the body of a page, which has no fields of a form, in time that grows with its square: half a minute for a whole one."""
    path = os.path.join(folder, "page.jpg")
    with Image.open(sample("receipt-1")) as page:
        page.convert("L").resize((page.width // 4, page.height // 4)).save(path, quality=40)
    return path


def service(m, folder, secret=None, credentials=None, more_sections=None, **more):
    keys = dict({"Kind": "sagemaker", "EndpointName": "qwen25vl-syd", "PricePerRequest": "0", "ConnectTo": "127.0.0.1:%d" % m.port, "CAFile": m.ca_file,
                 "Backoff": "100ms", "CustomAttributes": "trace=1, page", "TargetVariant": "blue"}, **more)
    return Service({"Service": {"Lab": "yes"}, "Route": {"Backends": "own"},
                    "Credentials keys": {"Source": "file", "File": m.credentials_file(folder, secret)},
                    "Credentials aws": credentials or {"Source": "file", "File": m.credentials_file(folder, secret)},
                    "Backend own": {k: v for k, v in keys.items() if v is not None}, **(more_sections or {})})


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
                ids = s.submit(small_page(folder), "receipt")
                s.wait_states(ids, {"done"})
                fields = s.call("Show", page=ids[0])["results"][0]["fields"]
                assert fields["total"]["value"] == "11.00", fields


def test_sagemaker_refuses_a_wrong_secret():
    with running() as (m, folder), service(m, folder, secret="x" * 40) as s:
        ids = s.submit(small_page(folder), "receipt")
        s.wait(lambda: s.rows("SELECT 1 FROM attempts WHERE http_status = 403"))
        assert s.pages()[ids[0]]["state"] == "queued" and s.pages()[ids[0]]["tries"] == 0


def test_s3_takes_a_signed_page_and_gives_it_up():
    """The bucket is proved, the page put, and removed when the attempt is over. The call in between is not looked at here: moto refuses the
    signature of botocore's own asynchronous call, too (tests/it/test_sagemaker_async.py has it, signed again by botocore)."""
    with running() as (m, folder):
        s3 = m.client("s3")
        s3.create_bucket(Bucket="pages-sydney", CreateBucketConfiguration={"LocationConstraint": REGION})
        with service(m, folder, TargetVariant=None, Bucket="pages-sydney") as s:
            s.submit(small_page(folder), "receipt")
            s.wait(lambda: s.rows("SELECT 1 FROM attempts WHERE outcome IS NOT NULL"))
            s.wait(lambda: "DELETE" in m.log())
            log = [line for line in m.log().splitlines() if "/endpoints/" not in line]
            for method, status in (("HEAD /", 200), ("PUT /pageferry/in/", 200), ("DELETE /pageferry/in/", 204)):
                assert any(method in line and " %d " % status in line for line in log), log[-20:]
            assert not s3.list_objects_v2(Bucket="pages-sydney").get("Contents")


ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ONLY_ROLES = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}
PLAIN = json.dumps([{"generated_text": json.dumps({"merchant_name": "GLEBE CORNER STORE", "total": "11.00"})}])


def make_role(m, name="scanner", policy=None):
    """Its ARN; it may do all, or what the policy says, and whoever may call STS may assume it."""
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:*"}]}
    iam = m.client("iam")
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    allow(m, name, policy or ANYTHING)
    return arn


def allow(m, role, policy):
    m.client("iam").put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=json.dumps(policy))


def at(m):
    return {"ConnectTo": "127.0.0.1:%d" % m.port, "CAFile": m.ca_file}


def by_role(m, arn=None, **more):
    return dict({"Source": "assume-role", "SourceCredentials": "keys", "RoleArn": arn or make_role(m)}, **at(m), **more)


def by_identity(m, folder):
    with open(folder + "/token", "w", encoding="ascii") as f:
        f.write("eyJ0.web.identity")
    return dict({"Source": "web-identity", "RoleArn": make_role(m), "TokenFile": folder + "/token"}, **at(m))


def backend_says(s, *words):
    """Waits until the backend is down with a message that has these words."""
    return s.wait(lambda: [b for b in s.call("Status")["backends"] if b["name"] == "own" and all(w in (b.get("message") or "") for w in words)])


def credentials_say(s):
    return s.wait(lambda: [f["what"] for f in s.call("Doctor", areas=["credentials"])["findings"] if f["level"] == "ok" and f["what"].startswith("aws (")])[0]


def goes(m, folder, s):
    """A page is answered."""
    sagemaker_answers(m, PLAIN)
    ids = s.submit(small_page(folder), "receipt")
    s.wait_states(ids, {"done"})
    assert s.call("Show", page=ids[0])["results"][0]["fields"]["total"]["value"] == "11.00"


def waits(s, page):
    """Nothing was charged to a page that could not be sent."""
    row = s.pages()[page]
    return row["state"] == "queued" and row["tries"] == 0


def test_a_page_goes_with_the_keys_of_a_role():
    """STS's answer is signed with, token and all, and taken by another service of somebody else's."""
    with running() as (m, folder), service(m, folder, credentials=by_role(m, ExternalId="glebe", SessionName="scanner-7", Duration="15min")) as s:
        goes(m, folder, s)
        what = credentials_say(s)
        assert "from role scanner" in what and "until 20" in what, what


def test_a_role_assumes_a_role():
    with running() as (m, folder):
        first = by_role(m, make_role(m, "first", ONLY_ROLES))
        second = dict(by_role(m, make_role(m, "second")), SourceCredentials="first")
        with service(m, folder, credentials=second, more_sections={"Credentials first": first}) as s:
            goes(m, folder, s)
            assert "from role second" in credentials_say(s)


def test_a_role_that_may_not_ask_the_endpoint():
    """moto looks up what the role of the session may do."""
    with running() as (m, folder), service(m, folder, credentials=by_role(m, make_role(m, policy=ONLY_ROLES))) as s:
        ids = s.submit(small_page(folder), "receipt")
        backend_says(s, "IAM forbids it", "assumed-role/scanner/pageferry is not authorized to perform: sagemaker:InvokeEndpoint")
        assert waits(s, ids[0])
        allow(m, "scanner", ANYTHING)
        sagemaker_answers(m, PLAIN)
        s.stop()
        s.start()  # without it a backend that IAM forbids is asked again after minutes
        s.wait_states(ids, {"done"})


def test_a_user_that_may_not_assume_the_role():
    with running() as (m, folder):
        arn = make_role(m)
        m.client("iam").put_user_policy(UserName="pageferry", PolicyName="not-this-role", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "sts:AssumeRole", "Resource": arn}]}))
        with service(m, folder, credentials=by_role(m, arn)) as s:
            ids = s.submit(small_page(folder), "receipt")
            backend_says(s, "role scanner: STS answers 403")
            assert waits(s, ids[0]) and not s.rows("SELECT id FROM attempts")


def test_sts_refuses_a_wrong_secret():
    with running() as (m, folder), service(m, folder, secret="x" * 40, credentials=by_role(m)) as s:
        ids = s.submit(small_page(folder), "receipt")
        # its error is not in the form of STS: that it is one is all that can be told
        backend_says(s, "role scanner: STS answers 403")
        assert waits(s, ids[0]) and not s.rows("SELECT id FROM attempts")


def test_a_page_goes_with_the_keys_of_a_web_identity():
    """The call to STS is not signed, by design; moto, which wants a signature of everybody while it checks, fails on that, and then is told to let
    one call pass. The page that is signed with what STS answered is checked. Whose the token is moto does not look at."""
    with running() as (m, folder), service(m, folder, credentials=by_identity(m, folder)) as s:
        ids = s.submit(small_page(folder), "receipt")
        backend_says(s, "role scanner: STS answers 500")
        assert waits(s, ids[0]) and not s.rows("SELECT id FROM attempts")
        sagemaker_answers(m, PLAIN)
        m.checks(after=1)
        s.wait_states(ids, {"done"})
        assert "from role scanner" in credentials_say(s)


def test_keys_of_a_session_that_is_no_more():
    """As when they have expired, which moto does not look at: they are unknown, role and user too, until a new file is there."""
    with running() as (m, folder), service(m, folder, credentials=by_role(m)) as s:
        goes(m, folder, s)
        m.forget()
        ids = s.submit(small_page(folder), "receipt", again=True)
        s.wait(lambda: s.rows("SELECT 1 FROM attempts WHERE http_status = 403"))
        assert waits(s, ids[0])
        make_role(m)
        sagemaker_answers(m, PLAIN)
        m.credentials_file(folder)
        s.wait_states(ids, {"done"})


def session_file(m, folder, token=None):
    """A file with the keys of a session, and another token than its own."""
    keys = m.client("sts").assume_role(RoleArn=make_role(m), RoleSessionName="by-hand")["Credentials"]
    path = os.path.join(folder, "session")
    with open(path, "w", encoding="ascii") as f:
        f.write("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n" %
                (keys["AccessKeyId"], keys["SecretAccessKey"], token or keys["SessionToken"]))
    os.chmod(path, 0o600)
    return {"Source": "file", "File": path}


def test_a_file_with_the_keys_of_a_session():
    with running() as (m, folder), service(m, folder, credentials=session_file(m, folder)) as s:
        goes(m, folder, s)


def test_another_token_than_the_one_of_the_session():
    with running() as (m, folder), service(m, folder, credentials=session_file(m, folder, "x" * 356)) as s:
        ids = s.submit(small_page(folder), "receipt")
        backend_says(s, "AWS does not know this access key, or its session token is missing", "403 InvalidClientTokenId")
        assert waits(s, ids[0]) and s.rows("SELECT 1 FROM attempts WHERE http_status = 403")


suite.main()
