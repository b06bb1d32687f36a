"""Strict stand-ins for what hands out AWS credentials: the IoT credential provider, IAM Roles Anywhere, instance metadata, the
container endpoint. Each checks what the real one checks, from the bytes as received, and answers in its formats; `script` holds
what goes wrong with the next requests: an HTTP status, or "garbage", "cut", "3kb", "expired".

Roles Anywhere's signatures are checked with python3-cryptography: string to sign, key, chain, dates and serial.
"""
import base64
import datetime
import hashlib
import json
import os
import re
import socket
import ssl
import threading
import time
from email.utils import formatdate

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

REGION = "ap-southeast-2"
IOT_HOST = "c1example.credentials.iot.%s.amazonaws.com" % REGION
ANYWHERE_HOST = "rolesanywhere.%s.amazonaws.com" % REGION


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


class Authority:
    """A root and one below it, which gives out certificates into `folder`."""

    def __init__(self, folder, name="Devices"):
        self.folder = folder
        self.root_key, self.key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.root = self._sign(name + " root", self.root_key, name + " root", self.root_key, ca=True)
        self.middle = self._sign(name, self.key, name + " root", self.root_key, ca=True)
        self.ca_file = os.path.join(folder, name + "-ca.pem")
        with open(self.ca_file, "wb") as f:
            f.write(self._pem(self.root))

    @staticmethod
    def _pem(c):
        return c.public_bytes(serialization.Encoding.PEM)

    @staticmethod
    def _sign(cn, key, issuer, issuer_key, ca=False, days=(-1, 30), names=(), serial=None):
        now = datetime.datetime.utcnow()
        b = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)]))
             .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])).public_key(key.public_key())
             .serial_number(serial or x509.random_serial_number()).not_valid_before(now + datetime.timedelta(days=days[0]))
             .not_valid_after(now + datetime.timedelta(days=days[1]))
             .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
             .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
             .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
             .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True))
        if names:
            b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        return b.sign(issuer_key, hashes.SHA256())

    def give(self, cn, kind="ec", days=(-1, 30), names=(), serial=None):
        """Files CN.pem (with the one between) and CN.key; their paths."""
        key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
        leaf = self._sign(cn, key, self.middle.subject.rfc4514_string()[3:], self.key, days=days, names=names, serial=serial)
        paths = os.path.join(self.folder, cn + ".pem"), os.path.join(self.folder, cn + ".key")
        with open(paths[0], "wb") as f:
            f.write(self._pem(leaf) + self._pem(self.middle))
        with open(os.open(paths[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return paths


class Standin:
    """One request a connection. `credentials` (key, secret, token) are what it hands out, for `life` seconds."""

    def __init__(self, credentials):
        self.credentials, self.life = credentials, 3600
        self.script, self.requests = [], []
        self.clock_offset_s = 0  # its clock less the real one
        self.changed = threading.Condition()
        self.context = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def use_tls(self, folder, host):
        """Its own authority; clients find it in self.ca_file."""
        server = Authority(folder, "Server-" + host.split(".")[0])
        self.ca_file = server.ca_file
        self.host = host
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*server.give(host, names=[host]))
        self.context.sni_callback = lambda s, name, c: None if name == host else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    def _note(self, **entry):
        with self.changed:
            self.requests.append(entry)
            self.changed.notify_all()

    def statuses(self):
        with self.changed:
            return [r["status"] for r in self.requests]

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        try:
            s = self.context.wrap_socket(raw, server_side=True) if self.context else raw
        except OSError as e:
            self._note(status="tls", message=str(e))
            raw.close()
            return
        try:
            self._one(s)
        except OSError:
            pass
        finally:
            s.close()

    def _one(self, s):
        stream = s.makefile("rb")
        line = stream.readline(65536).decode("latin-1").rstrip("\r\n")
        if not line:
            return
        headers = []
        while True:
            h = stream.readline(65536).decode("latin-1")
            if h in ("\r\n", ""):
                break
            name, _, value = h.rstrip("\r\n").partition(":")
            headers.append((name.lower(), value.strip()))
        assert len(set(n for n, _ in headers)) == len(headers), headers
        h = dict(headers)
        body = stream.read(int(h.get("content-length", "0")))
        with self.changed:
            wrong = self.script.pop(0) if self.script else None
        try:
            if isinstance(wrong, int):
                raise Refused(wrong, "scripted")
            status, out = self.answer(s, line, h, body, wrong)
        except Refused as r:
            status, out = r.status, self.refusal(r)
        if wrong == "garbage":
            out = b"<html>" + out[:20]
        self._note(status=status, line=line, wrong=wrong, message="" if status < 300 else out.decode(errors="replace"))
        head = "HTTP/1.1 %d X\r\nDate: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
            status, formatdate(self.now(), usegmt=True), len(out))
        s.sendall(head.encode() + (out[:len(out) // 2] if wrong == "cut" else out))

    @staticmethod
    def refusal(r):
        return json.dumps({"message": r.message}).encode()

    def now(self):
        return time.time() + self.clock_offset_s

    def expiry(self, wrong):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now() + (-60 if wrong == "expired" else self.life)))

    def session(self, wrong):
        key, secret, token = self.credentials
        out = {"accessKeyId": key, "secretAccessKey": secret, "sessionToken": token, "expiration": self.expiry(wrong)}
        return dict(out, padding="x" * 3000) if wrong == "3kb" else out

    def metadata(self, wrong):
        key, secret, token = self.credentials
        return {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": self.expiry(wrong)}


class IotStandin(Standin):
    def __init__(self, folder, authority, credentials, thing="scanner-1", alias="scan-alias"):
        super().__init__(credentials)
        self.thing, self.alias, self.authority = thing, alias, authority
        self.active = True
        self.use_tls(folder, IOT_HOST)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_verify_locations(authority.ca_file)

    def answer(self, s, line, h, body, wrong):
        subject = dict(p[0] for p in s.getpeercert()["subject"])["commonName"]
        if h["host"] != IOT_HOST or "authorization" in h or body:
            raise Refused(400, "not such a request")
        m = re.fullmatch(r"GET /role-aliases/([A-Za-z0-9_%-]+)/credentials HTTP/1\.1", line)
        if not m:
            raise Refused(400, "no such path")
        if not self.active or subject != self.thing or h.get("x-amzn-iot-thingname") != self.thing:
            raise Refused(403, "Access Denied")
        if m[1] != self.alias:
            raise Refused(404, "Role alias does not exist")
        return 200, json.dumps({"credentials": self.session(wrong)}).encode()


class AnywhereStandin(Standin):
    def __init__(self, folder, authority, credentials, arns):
        super().__init__(credentials)
        self.authority, self.arns = authority, arns
        self.use_tls(folder, ANYWHERE_HOST)

    def answer(self, s, line, h, body, wrong):
        if line != "POST /sessions HTTP/1.1" or h["host"] != ANYWHERE_HOST or h["content-type"] != "application/json":
            raise Refused(400, "not such a request")
        self._check_signature(h, body)
        want = dict(self.arns, durationSeconds=3600)
        if json.loads(body) != want:
            raise Refused(400, "the body is %s" % body.decode())
        return 201, json.dumps({"credentialSet": [{"credentials": self.session(wrong), "roleArn": want["roleArn"]}]}).encode()

    def _check_chain(self, h):
        now = datetime.datetime.utcnow()
        chain = [x509.load_der_x509_certificate(base64.b64decode(c, validate=True))
                 for c in [h["x-amz-x509"]] + [c for c in h.get("x-amz-x509-chain", "").split(",") if c]]
        for below, above in zip(chain, chain[1:] + [self.authority.root]):
            try:
                above.public_key().verify(below.signature, below.tbs_certificate_bytes, ec.ECDSA(below.signature_hash_algorithm))
            except InvalidSignature:
                raise Refused(403, "Untrusted certificate. Insufficient certificate") from None
            if not below.not_valid_before <= now <= below.not_valid_after:
                raise Refused(403, "Certificate is not valid at this time")
        return chain[0]

    def _check_signature(self, h, body):
        leaf = self._check_chain(h)
        is_rsa = isinstance(leaf.public_key(), rsa.RSAPublicKey)
        algorithm = "AWS4-X509-RSA-SHA256" if is_rsa else "AWS4-X509-ECDSA-SHA256"
        m = re.fullmatch(r"(\S+) Credential=(\d+)/(\d{8})/([a-z0-9-]+)/rolesanywhere/aws4_request, SignedHeaders=(\S+), Signature=([0-9a-f]+)",
                         h["authorization"])
        if not m or m[1] != algorithm or m[2] != str(leaf.serial_number) or m[4] != REGION or h["x-amz-date"][:8] != m[3]:
            raise Refused(403, "authorization does not fit the certificate: " + h["authorization"])
        sent = datetime.datetime.strptime(h["x-amz-date"], "%Y%m%dT%H%M%SZ")
        if abs((sent - datetime.datetime.utcnow()).total_seconds()) > 300:
            raise Refused(403, "Signature expired")
        names = m[5].split(";")
        must = {"host", "content-type"} | {n for n in h if n.startswith("x-amz-")}
        if names != sorted(names) or set(names) != must:
            raise Refused(403, "signed are %s, not %s" % (names, sorted(must)))
        canonical = "POST\n/sessions\n\n%s\n%s\n%s" % ("".join("%s:%s\n" % (n, h[n]) for n in names), m[5], hashlib.sha256(body).hexdigest())
        to_sign = "%s\n%s\n%s/%s/rolesanywhere/aws4_request\n%s" % (
            algorithm, h["x-amz-date"], m[3], REGION, hashlib.sha256(canonical.encode()).hexdigest())
        try:
            if is_rsa:
                leaf.public_key().verify(bytes.fromhex(m[6]), to_sign.encode(), padding.PKCS1v15(), hashes.SHA256())
            else:
                leaf.public_key().verify(bytes.fromhex(m[6]), to_sign.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Refused(403, "the signature does not match") from None


class ImdsStandin(Standin):
    """Version 2 alone, unless `version_1`."""

    def __init__(self, credentials, roles="scan-role\n", version_1=False):
        super().__init__(credentials)
        self.roles, self.version_1, self.tokens = roles, version_1, {}

    def answer(self, s, line, h, body, wrong):
        if h["host"] != "169.254.169.254":
            raise Refused(400, "wrong host")
        if "x-forwarded-for" in h:
            raise Refused(403, "forwarded")
        method, path, _ = line.split(" ")
        if path == "/latest/api/token":
            life = h.get("x-aws-ec2-metadata-token-ttl-seconds", "")
            if self.version_1:
                raise Refused(404, "no tokens")
            if method != "PUT" or not re.fullmatch(r"\d+", life) or not 1 <= int(life) <= 21600:
                raise Refused(400, "bad token request")
            token = base64.b64encode(os.urandom(40)).decode()
            self.tokens[token] = time.monotonic() + int(life)
            return 200, token.encode()
        if method != "GET" or (not self.version_1 and self.tokens.get(h.get("x-aws-ec2-metadata-token"), 0) < time.monotonic()):
            raise Refused(401, "no token")
        rest = path[len("/latest/meta-data/iam/security-credentials/"):]
        if not rest:
            return 200, self.roles.encode()
        if rest != self.roles.strip():
            raise Refused(404, "no such role")
        return 200, json.dumps(self.metadata(wrong)).encode()


class ContainerStandin(Standin):
    def __init__(self, credentials, token):
        super().__init__(credentials)
        self.token = token

    def answer(self, s, line, h, body, wrong):
        if line != "GET /creds HTTP/1.1":
            raise Refused(404, "no such path")
        if h.get("authorization") != self.token:
            raise Refused(401, "wrong token")
        return 200, json.dumps(self.metadata(wrong)).encode()
