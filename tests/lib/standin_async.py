"""A strict stand-in for SageMaker's asynchronous invoke in Sydney, with the S3 bucket by which it goes: connection, TLS and clock as the one for
InvokeEndpoint (standin_sagemaker.py); S3's requests are signed again by botocore's own signer for S3. An answer lies in the bucket after
`looks` looks for it in vain."""
import hashlib
import json
import os
import re
import urllib.parse
import uuid
from datetime import datetime, timedelta

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from standin_aws import REGION, BedrockStandin, Refused, make_ca
from standin_sagemaker import ERRORS, SagemakerStandin

BUCKET = "pages-sydney"
S3_HOST = "%s.s3.%s.amazonaws.com" % (BUCKET, REGION)
S3_ERRORS = {"slow-down": (503, "SlowDown", "Please reduce your request rate."), "internal": (500, "InternalError", "We encountered an internal error."),
             "access-denied": (403, "AccessDenied", "Access Denied"), "no-bucket": (404, "NoSuchBucket", "The specified bucket does not exist"),
             "expired": (400, "ExpiredToken", "The provided token has expired."), "redirect": (301, "PermanentRedirect", "The bucket is elsewhere.")}


class AsyncStandin(SagemakerStandin):
    """`faults` holds, by stage (head, put, call, look, delete), behaviours for its next requests: a key of S3_ERRORS (call: of ERRORS), or "reset".
    `outcome`: ok, failure (the container failed), never (nothing is ever written), elsewhere (written into another bucket)."""

    def __init__(self, folder, owner=None, prefix="pageferry/", looks=0, **more):
        super().__init__(folder, **more)
        os.mkdir(folder + "/async")
        self.ca_file, cert, key = make_ca(folder + "/async", ("DNS:" + self.host, "DNS:" + S3_HOST))
        self.tls.load_cert_chain(cert, key)
        self.owner, self.prefix = owner, prefix
        self.objects = {}
        self.pending = {}   # (key, body) by the key that is looked for last, and how many looks are to come
        self.faults = {}
        self.seen = []      # (stage, status or what was refused), in order
        self.outcome, self.looks = "ok", looks
        self.bucket_region = REGION
        self.calls = []     # headers of each call
        self.words = self   # all requests come to reply()

    # ---- all requests ------------------------------------------------------------------------------------------------

    def reply(self, _, s, stream, line, headers):
        lower = {n.lower(): v for n, v in headers}
        body = stream.read(int(lower.get("content-length", "0")))
        method, target, _ = line.split(" ", 2)
        to_s3 = lower.get("host") == S3_HOST
        stage = {"HEAD": "head", "PUT": "put", "GET": "look", "DELETE": "delete"}.get(method, "?") if to_s3 else "call"
        try:
            if to_s3:
                self._check_s3(line, headers, body)
            else:
                BedrockStandin._check_signature(self, line, headers, body, needed=("host", "authorization", "x-amz-date", "content-length"))
            fault = self.faults.get(stage) and self.faults[stage].pop(0)
            if fault == "reset":
                self._saw(stage, fault)
                return False
            if fault and to_s3:
                self._s3_error(s, stage, *S3_ERRORS[fault])
            elif fault:
                status, kind, content = ERRORS[fault]
                self._saw(stage, status)
                self._reply(s, status, {"Content-Type": "application/json", "x-amzn-ErrorType": kind}, json.dumps(content).encode())
            elif to_s3:
                self._s3(s, stage, urllib.parse.unquote(target)[1:], lower, body)
            else:
                self._call(s, target, lower, body)
        except Refused as r:
            if to_s3:
                self._s3_error(s, stage, r.status, r.kind, r.message)
            else:
                self._saw(stage, (r.kind, r.message))
                self._error(s, r.status, r.kind, r.message)
        return True

    def _saw(self, stage, what):
        with self.changed:
            self.seen.append((stage, what))
            self.changed.notify_all()

    def wait_seen(self, stage, count=1, timeout=30):
        with self.changed:
            assert self.changed.wait_for(lambda: sum(1 for n, _ in self.seen if n == stage) >= count, timeout), self.seen

    # ---- S3 ----------------------------------------------------------------------------------------------------------

    def _check_s3(self, line, headers, body):
        method, target, _ = line.split(" ", 2)
        names = [n.lower() for n, _ in headers]
        h = {n.lower(): v for n, v in headers}
        if len(names) != len(set(names)) or "expect" in names or "transfer-encoding" in names:
            raise Refused(400, "InvalidRequest", "headers twice, or that are not expected")
        m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
                         h.get("authorization", ""))
        if not m or m[1] != self.credentials.access_key:
            raise Refused(403, "InvalidAccessKeyId", "no signature of a known key")
        if m[3] != self.bucket_region and method != "HEAD":
            raise Refused(400, "AuthorizationHeaderMalformed", "the region '%s' is wrong; expecting '%s'" % (m[3], self.bucket_region))
        sent = datetime.strptime(h["x-amz-date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
        if h["x-amz-date"][:8] != m[2] or abs(self._now() - sent) > timedelta(minutes=15):
            raise Refused(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
        signed = m[4].split(";")
        must = {"host"} | {n for n in names if n.startswith("x-amz-") or n == "content-type"}
        if not {"host", "x-amz-content-sha256"} <= must <= set(signed) or signed != sorted(signed):
            raise Refused(403, "AccessDenied", "There were headers present in the request which were not signed")
        if h["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
            raise Refused(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
        if h.get("x-amz-security-token") != self.credentials.token:
            raise Refused(403, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        request = AWSRequest(method=method, url="https://%s%s" % (S3_HOST, target), data=body, headers={n: h[n] for n in signed})
        request.context["timestamp"] = h["x-amz-date"]
        signer = S3SigV4Auth(self.credentials, "s3", m[3])
        if signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request) != m[5]:
            raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        if h.get("x-amz-expected-bucket-owner", self.owner) != self.owner:
            raise Refused(403, "AccessDenied", "Access Denied")

    def _s3(self, s, stage, key, headers, body):
        where = {"x-amz-bucket-region": self.bucket_region} if self.bucket_region else {}
        if stage == "head":
            if key:
                raise Refused(404, "NoSuchKey", "a bucket was expected")
            if self.bucket_region not in (REGION, None):
                self._s3_error(s, stage, 301, "PermanentRedirect", "elsewhere")
                return
            self._saw(stage, 200)
            self._reply(s, 200, where, b"")
            return
        if not key.startswith(self.prefix):
            raise Refused(403, "AccessDenied", "Access Denied")
        if stage == "put":
            if headers.get("content-type") != "application/json":
                raise Refused(400, "InvalidRequest", "the endpoint takes JSON")
            self.objects[key] = body
            self._saw(stage, 200)
            self._reply(s, 200, {"ETag": '"%s"' % hashlib.md5(body).hexdigest()}, b"")
        elif stage == "delete":
            self.objects.pop(key, None)
            self._saw(stage, 204)
            self._reply(s, 204, {}, b"")
        else:
            self._get(s, key)

    def _get(self, s, key):
        if key in self.pending:
            left, written = self.pending[key]
            self.pending[key] = (left - 1, written)
            if left <= 0:
                self.objects.update([written])
                del self.pending[key]
        if key not in self.objects:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        self._saw("look", 200)
        self._reply(s, 200, {"Content-Type": "application/json"}, self.objects[key])

    def _s3_error(self, s, stage, status, kind, message):
        self._saw(stage, kind)
        body = b"" if stage == "head" else ('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code><Message>%s</Message><RequestId>1</RequestId></Error>' % (
            kind, message)).encode()
        headers = {"Content-Type": "application/xml"}
        if status == 301:
            headers.update({"x-amz-bucket-region": self.bucket_region if self.bucket_region != REGION else "us-east-1", "Location": "https://s3.us-east-1.amazonaws.com/"})
        self._reply(s, status, headers, body)

    # ---- the endpoint ------------------------------------------------------------------------------------------------

    def _call(self, s, target, headers, body):
        m = re.fullmatch(r"/endpoints/([a-zA-Z0-9-]+)/async-invocations", target)
        if not m or m[1] not in self.endpoints:
            raise Refused(400, "ValidationError", "Endpoint of account 111122223333 not found.")
        own = {n[len("x-amzn-sagemaker-"):]: v for n, v in headers.items() if n.startswith("x-amzn-sagemaker-")}
        known = {"content-type", "accept", "custom-attributes", "inference-id", "inputlocation", "requestttlseconds", "invocationtimeoutseconds"}
        if body or not set(own) <= known or own.get("content-type") != "application/json" or own.get("accept") != "application/json":
            raise Refused(400, "ValidationError", "not a request by location: %r" % sorted(own))
        if not 1 <= int(own["invocationtimeoutseconds"]) <= 3600 or not 60 <= int(own["requestttlseconds"]) <= 21600 or not 1 <= len(own["inference-id"]) <= 64:
            raise Refused(400, "ValidationError", "out of range: %r" % own)
        key = own["inputlocation"][len("s3://%s/" % BUCKET):]
        if not own["inputlocation"].startswith("s3://%s/" % BUCKET) or key not in self.objects:
            raise Refused(400, "ValidationError", "The input location is not there.")
        self.calls.append(own)
        bucket = "others" if self.outcome == "elsewhere" else BUCKET
        name = str(uuid.uuid4())
        output, failure = self.prefix + "out/%s.out" % name, self.prefix + "failed/%s-error.out" % name
        self._work(json.loads(self.objects[key]), m[1], output, failure)
        self._saw("call", 202)
        self._reply(s, 202, {"Content-Type": "application/json", "X-Amzn-SageMaker-OutputLocation": "s3://%s/%s" % (bucket, output),
                             "X-Amzn-SageMaker-FailureLocation": "s3://%s/%s" % (bucket, failure)}, json.dumps({"InferenceId": own["inference-id"]}).encode())

    def _work(self, request, name, output, failure):
        request["form"] = self.endpoints[name]
        jpeg = (self._plain if request["form"] == "plain" else self._openai)(request)
        if self.outcome == "ok":
            answer = self._chat(request, jpeg) if request["form"] == "openai" else self._text(request, jpeg)
            self.pending[output] = (self.looks, (output, json.dumps(answer).encode()))
        elif self.outcome == "failure":
            self.pending[failure] = (self.looks, (failure, b"Received server error (500) from primary: out of memory"))
