"""A strict stand-in for AWS STS in Sydney: the query protocol of 2011-06-15 with its XML. AssumeRole's signature is made again by botocore
from the request as received, with its clock's window; AssumeRoleWithWebIdentity must not be signed. What goes wrong is `script` for the
next requests, then `always`: an HTTP status, a code of STS, or "garbage", "cut", "html", "wrong-xml", "huge", "slow", "expired"."""
import datetime
import re
import threading
import urllib.parse
from xml.sax.saxutils import escape

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from standin_credentials import REGION, Refused, Standin

HOST = "sts.%s.amazonaws.com" % REGION
SPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
CODES = {"AccessDenied": 403, "ExpiredToken": 400, "ExpiredTokenException": 400, "RegionDisabledException": 403, "Throttling": 400,
         "InvalidClientTokenId": 403, "InvalidIdentityToken": 400, "IDPRejectedClaim": 403, "IDPCommunicationError": 400, "SignatureDoesNotMatch": 403}
WINDOW = datetime.timedelta(minutes=15)
STAMP = "%Y%m%dT%H%M%SZ"


class StsStandin(Standin):
    """`roles`: {ARN: {"external": id or None, "by": access key that may assume it, "gives": keys}}; `keys` are all that it knows; `tokens`
    are the web identities that it takes."""

    def __init__(self, folder, credentials, roles, keys=(), tokens=()):
        super().__init__(credentials)
        self.roles, self.tokens = roles, set(tokens)
        self.keys = {k[0]: Credentials(*k) for k in keys}
        self.always = None
        self.release = threading.Event()
        self.use_tls(folder, HOST)

    def __exit__(self, *_):
        self.release.set()
        super().__exit__()

    def refusal(self, r):
        code = getattr(r, "code", "InternalFailure")
        return ("<ErrorResponse xmlns=\"%s\">\n  <Error>\n    <Type>Sender</Type>\n    <Code>%s</Code>\n    <Message>%s</Message>\n  </Error>\n"
                "  <RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId>\n</ErrorResponse>\n" % (SPACE, code, escape(r.message))).encode()

    def refuse(self, code, message):
        r = Refused(CODES[code], message)
        r.code = code
        raise r

    def answer(self, s, line, h, body, wrong):
        wrong = wrong or self.always
        if isinstance(wrong, int):
            raise Refused(wrong, "scripted")
        if wrong in CODES:
            self.refuse(wrong, "scripted, of secret base/secret+key=")
        if wrong == "slow":
            self.release.wait(60)
        form = self._form(line, h, body)
        role = self.roles.get(form["RoleArn"])
        if form["Action"] == "AssumeRole":
            key = self._check_signature(h, body)
            if not role or role["by"] != key or role.get("external") != form.get("ExternalId"):
                self.refuse("AccessDenied", "User: x is not authorized to perform: sts:AssumeRole on resource: " + form["RoleArn"])
        else:
            if "authorization" in h or "x-amz-date" in h:
                raise Refused(400, "a web identity's request is not signed")
            if form["WebIdentityToken"] not in self.tokens:
                self.refuse("ExpiredTokenException" if self.tokens else "InvalidIdentityToken", "Token is not valid")
        if wrong == "html":
            return 200, b"<!DOCTYPE html><html><body>Please log in to this network</body></html>"
        if wrong == "wrong-xml":
            return 200, b"<GetCallerIdentityResponse xmlns=\"%s\"><Arn>x</Arn></GetCallerIdentityResponse>" % SPACE.encode()
        if wrong == "huge":
            return 200, b"<AssumeRoleResponse>" + b"A" * (8 << 20)
        return 200, self._xml(form["Action"], (role or {}).get("gives", self.credentials), form["RoleArn"], wrong)

    def _form(self, line, h, body):
        if line != "POST / HTTP/1.1" or h["host"] != HOST or not h["content-type"].startswith("application/x-www-form-urlencoded"):
            raise Refused(400, "not such a request")
        pairs = urllib.parse.parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        form = dict(pairs)
        must = {"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds"}
        may = {"AssumeRole": {"ExternalId"}, "AssumeRoleWithWebIdentity": {"WebIdentityToken"}}.get(form.get("Action"))
        if len(form) != len(pairs) or may is None or not must <= set(form) <= must | may or form["Version"] != "2011-06-15":
            raise Refused(400, "the form is %s" % sorted(form))
        if not re.fullmatch(r"[\w+=,.@-]{2,64}", form["RoleSessionName"]) or not 900 <= int(form["DurationSeconds"]) <= 43200:
            raise Refused(400, "session name or duration is out of range")
        return form

    def _check_signature(self, h, body):
        m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/sts/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
                         h["authorization"])
        if not m or m[3] != REGION or h["x-amz-date"][:8] != m[2]:
            self.refuse("SignatureDoesNotMatch", "Credential should be scoped to a valid region.")
        sent = datetime.datetime.strptime(h["x-amz-date"], STAMP)
        now = datetime.datetime.utcfromtimestamp(self.now())
        if abs(sent - now) > WINDOW:
            self.refuse("SignatureDoesNotMatch", "Signature expired: %s is now earlier than %s (%s - 15 min.)" % (
                h["x-amz-date"], (now - WINDOW).strftime(STAMP), now.strftime(STAMP)))
        known = self.keys.get(m[1])
        if not known or known.token != h.get("x-amz-security-token"):
            self.refuse("InvalidClientTokenId", "The security token included in the request is invalid.")
        names = m[4].split(";")
        must = {"host", "content-type"} | {n for n in h if n.startswith("x-amz-")}
        request = AWSRequest(method="POST", url="https://%s/" % HOST, data=body, headers={n: h[n] for n in names})
        request.context["timestamp"] = h["x-amz-date"]
        signer = SigV4Auth(known, "sts", REGION)
        if names != sorted(names) or not must <= set(names) or \
                signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request) != m[5]:
            self.refuse("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.")
        return m[1]

    def _xml(self, action, keys, arn, wrong):
        fields = (keys[0], keys[1], keys[2], self.expiry(wrong))
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        inner = "".join("      <%s>%s</%s>\n" % (n, escape(v), n) for n, v in zip(names, fields))
        return ("<?xml version=\"1.0\"?>\n<{a}Response xmlns=\"{ns}\">\n  <{a}Result>\n    <AssumedRoleUser>\n      <Arn>{arn}</Arn>\n    </AssumedRoleUser>\n"
                "    <Credentials>\n{inner}    </Credentials>\n  </{a}Result>\n  <ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata>\n"
                "</{a}Response>\n").format(a=action, ns=SPACE, arn=escape(arn), inner=inner).encode()
