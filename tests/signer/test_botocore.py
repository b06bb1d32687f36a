#!/usr/bin/python3
"""The signer against botocore's, on random requests: ids of every form, paths, queries, headers, UTF-8, tokens, Bedrock's and S3's path
rule. CASES= and SEED= by environment (2,000 and a random seed, which is printed). Also: tests/sigv4-suite counts what is right and wrong."""
import hashlib
import json
import os
import random
import subprocess
import tempfile
import urllib.parse
from datetime import datetime, timezone

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import suite

BUILD = os.environ["PAGEFERRY_BUILD"]
SUITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sigv4-suite")
CASES = int(os.environ.get("CASES", "2000"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)

UNRESERVED = "ABCXYZabcxyz0189-._~"
PUNCTUATION = " :/?#[]@!$&'()*+,;=%\"<>\\^`{|}"
UNICODE = "é\u00a0ß漢字\u1234𝄞\ufffd"
NAMES = ["Accept", "Content-Type", "X-Amzn-Bedrock-Trace", "x-amzn-bedrock-guardrailidentifier", "X-Amz-Target", "amz-sdk-request", "a", "Z-z", "x-9", "User-Agent",
         "Expect", "X-Amzn-Trace-Id", "X_under", "x-amzn-sagemaker-inference-component"]
# What other SDKs leave out and this one signs (Transfer-Encoding, Connection...) is for tests/unit/cloud_sigv4.c.


def word(r, alphabet, least, most):
    return "".join(r.choice(alphabet) for _ in range(r.randint(least, most)))


def label(r):
    """A path label, not encoded."""
    kind = r.randrange(5)
    if kind == 0:
        return "%s.%s-v%d:%d" % (word(r, "abcdefgh", 2, 9), word(r, "abc-019", 1, 30), r.randrange(9), r.randrange(3))
    if kind == 1:
        return "arn:aws:bedrock:ap-southeast-2:%012d:%s/%s" % (r.randrange(10 ** 12), r.choice(("inference-profile", "application-inference-profile", "imported-model")),
                                                               word(r, "abcdef019.-:", 1, 24))
    text = word(r, (UNRESERVED, UNRESERVED + PUNCTUATION, UNRESERVED + PUNCTUATION + UNICODE)[kind - 2], 1, 40)
    return text if text not in (".", "..") else text + "x"


def encode(text):
    return urllib.parse.quote(text, safe="-._~")


def random_request(r):
    service = r.choice(("bedrock", "sagemaker", "sts", "s3"))
    labels = [label(r) for _ in range(r.randint(0, 4))]
    if service == "s3":  # a key's slashes are never sent as %2F; S3 would read both as one
        labels = [text.replace("/", "-") for text in labels]
    path = "".join("/" + encode(text) for text in labels) or "/"
    if r.randrange(6) == 0 and path != "/":
        path += "/"
    pairs = [(word(r, UNRESERVED + PUNCTUATION + UNICODE, 1, 8), word(r, UNRESERVED + PUNCTUATION + UNICODE, 0, 12)) for _ in range(r.choice((0, 0, 1, 2, 5)))]
    query = "&".join(encode(a) + "=" + encode(b) for a, b in pairs)
    host = word(r, "abcxyz019", 1, 20) + ".ap-southeast-2.amazonaws.com" + r.choice(("", "", "", ":8443"))
    headers = []
    for name in r.sample(NAMES, r.randint(0, 6)):
        value = word(r, UNRESERVED + PUNCTUATION + "   ", 0, 60)
        headers.append([name, value.strip() if r.randrange(2) else value])
    return {"method": r.choice(("POST", "GET", "PUT")), "url": "https://" + host + path + ("?" + query if query else ""), "headers": headers,
            "body_sha256": hashlib.sha256(word(r, UNRESERVED + UNICODE, 0, 50).encode()).hexdigest(),
            "region": r.choice(("ap-southeast-2", "ap-southeast-4", word(r, "abc-19", 1, 15))), "service": service,
            "time": r.randrange(0, 4102444800), "access_key": word(r, "ABCDEFGH0123", 16, 20), "secret_key": word(r, UNRESERVED + "+/=", 1, 64),
            "token": word(r, UNRESERVED + "+/=", 0, 400) or None}


def theirs(q):
    """What botocore makes of it. The body's hash is given, as it is to us."""
    class Body:
        def payload(self, request):
            return q["body_sha256"]
    signer = type("Signer", (Body, S3SigV4Auth if q["service"] == "s3" else SigV4Auth), {})
    request = AWSRequest(method=q["method"], url=q["url"], data=b"")
    for name, value in q["headers"]:
        request.headers[name] = value
    at = datetime.fromtimestamp(q["time"], timezone.utc)
    request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
    auth = signer(Credentials(q["access_key"], q["secret_key"], q["token"]), q["service"], q["region"])
    auth._modify_request_before_signing(request)
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    auth._inject_signature_to_request(request, signature)
    return request.headers["Authorization"]


def ours(requests):
    lines = []
    for q in requests:
        q = {k: v for k, v in q.items() if v is not None}
        q["path_rule"] = "single" if q["service"] == "s3" else "double"
        lines.append(json.dumps(q))
    out = subprocess.run([os.path.join(BUILD, "signer", "sign")], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    return out.stdout.splitlines()


def test_no_difference_to_botocore():
    r = random.Random(SEED)
    done = 0
    while done < CASES:
        batch = [random_request(r) for _ in range(min(5000, CASES - done))]
        for q, mine in zip(batch, ours(batch), strict=True):
            other = theirs(q)
            assert mine == other, "SEED=%d: %s\n ours   %s\n theirs %s" % (SEED, json.dumps(q), mine, other)
        done += len(batch)
    print("# %d requests, seed %d" % (done, SEED))


def write_case(folder, q, authorization):
    os.mkdir(folder)
    url = urllib.parse.urlsplit(q["url"])
    at = datetime.fromtimestamp(q["time"], timezone.utc)

    def write(name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as f:
            f.write(text)
    write("context.json", json.dumps({"credentials": {"access_key_id": q["access_key"], "secret_access_key": q["secret_key"]}, "normalize": True,
                                      "region": q["region"], "service": q["service"], "sign_body": False, "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}))
    head = "GET %s HTTP/1.1\nHost:%s\n" % (urllib.parse.unquote(url.path), url.netloc)
    write("request.txt", head)
    write("header-signed-request.txt", head + "Authorization:%s\n\n" % authorization)


def test_the_suite_runner_counts_what_is_right_and_wrong():
    with tempfile.TemporaryDirectory() as d:
        q = {"method": "GET", "url": "https://example.amazonaws.com/a%20b/%E1%88%B4", "headers": [], "body_sha256": hashlib.sha256(b"").hexdigest(), "region": "us-east-1",
             "service": "service", "time": 1440938160, "access_key": "AKIDEXAMPLE", "secret_key": "secret", "token": None}
        # botocore encodes once more unless the rule is S3's, and the cases' paths are not encoded yet.
        signer = dict(q, url="https://example.amazonaws.com/a b/\u1234")
        authorization = theirs(signer)
        for name, value in (("right", authorization), ("wrong", authorization[:-1] + ("0" if authorization[-1] != "0" else "1"))):
            write_case(os.path.join(d, name), q, value)
        out = subprocess.run([SUITE, d], capture_output=True, text=True, check=False)
        assert out.returncode == 1 and out.stdout.endswith("1 passed, 1 failed\n") and "not ok wrong" in out.stdout, out.stdout + out.stderr
        empty = subprocess.run([SUITE, os.path.join(d, "right")], capture_output=True, text=True, check=False)
        assert empty.returncode == 1 and "no case" in empty.stderr, empty.stderr


if __name__ == "__main__":
    suite.main()
