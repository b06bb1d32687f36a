"""A strict stand-in for Amazon Bedrock Runtime in Sydney: HTTPS on loopback with its own CA.

It recomputes every signature from the raw request as received with botocore's signer (not ours), checks the body hash, the clock
window, the host, the region, the headers that must be signed and the Nova request's shape, and answers in AWS's formats.
What goes wrong is scripted: `script` holds behaviours for the next requests, then `default`. Answers are read from the page's own
pixels (pagereader.py), never from a list.
"""
import base64
import binascii
import hashlib
import io
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import urllib.parse
import uuid
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image

import pagereader
from standin_control import HOST as CONTROL_HOST

HOST = "bedrock-runtime.ap-southeast-2.amazonaws.com"
REGION = "ap-southeast-2"
IN_REGION = {"amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0", "amazon.nova-micro-v1:0"}
MAX_BODY = 25_000_000

# What may be scripted for a request. "ok" answers; the others happen after the request was read and, but for "early-cut", checked.
BEHAVIOURS = {"ok", "throttle", "throttle-hint", "server-error", "unavailable", "slow", "delay", "cut", "early-cut", "garbage", "empty", "huge", "redirect",
              "expired-token", "access-denied", "model-timeout", "model-error", "truncated", "malformed-tool", "quota", "not-json-error", "filtered"}


# By operation: what the reply may be; the stream's own form, within which the model's comes.
EVENTSTREAM = "application/vnd.amazon.eventstream"
ACCEPT = {"invoke": "application/json", "converse": "application/json", "invoke-with-response-stream": EVENTSTREAM, "converse-stream": EVENTSTREAM}
# What InvokeModel knows beyond AWS's common headers, and the form of each.
INVOKE_HEADERS = {"guardrailidentifier": r"[a-z0-9]+|arn:aws:bedrock:ap-southeast-2:[0-9]{12}:guardrail/[a-z0-9]+", "guardrailversion": r"[1-9][0-9]{0,7}|DRAFT",
                  "service-tier": "default|priority|flex|reserved", "performanceconfig-latency": "standard|optimized",
                  "trace": "ENABLED|DISABLED|ENABLED_FULL", "request-metadata": ".{2,8500}", "accept": "application/json"}


class Refused(Exception):
    def __init__(self, status, kind, message):
        super().__init__(message)
        self.status, self.kind, self.message = status, kind, message


def make_ca(folder, names=("DNS:" + HOST,)):
    """A CA and a certificate for these names; returns their paths."""
    def openssl(*args):
        subprocess.run(("openssl",) + args, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(os.path.join(folder, "x509.cnf"), "w", encoding="ascii") as f:
        f.write("[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n"
                "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
                "[server]\nbasicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName=%s\n" % ",".join(names))
    ec = ("-config", "x509.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
    openssl("req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Stand-in CA")
    openssl("req", *ec, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=Stand-in")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.pem", "-days", "30",
            "-extfile", "x509.cnf", "-extensions", "server")
    return os.path.join(folder, "ca.pem"), os.path.join(folder, "server.pem"), os.path.join(folder, "server.key")


def write_keys(folder, credentials):
    """The AWS command line's file of credentials, for a service; returns its path."""
    path = os.path.join(folder, "keys")
    with open(path, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as f:
        f.write("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n" % (credentials.access_key, credentials.secret_key))
        if credentials.token:
            f.write("aws_session_token = %s\n" % credentials.token)
    return path


class BedrockStandin:
    """`with BedrockStandin(folder) as aws:` listens on aws.port; aws.ca_file is its CA. stop() refuses connections, start() takes them again."""

    host, service = HOST, "bedrock"  # of those that speak another service (standin_sagemaker.py) other ones
    guardrails = {"gr1abc": {"1", "2", "DRAFT"}}  # of the account: versions by id
    tiers_offered = {"default", "flex"}           # of the models

    def __init__(self, folder, access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token=None):
        self.ca_file, cert, key = make_ca(folder, ("DNS:" + self.host, "DNS:" + CONTROL_HOST))
        self.credentials = Credentials(access_key, secret_key, token)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert, key)
        self.default = "ok"
        self.script = []          # behaviours for the next requests, in order
        self.words = None         # standin_control.Words, which takes all other questions
        self.control = None       # standin_control.ControlPlane, which answers for its own host
        self.clock_offset_s = 0   # the server's clock less the real one
        self.requests = []        # one dict a request that was understood: model, page hash, behaviour, status, refused
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.port = 0
        self.listener = None
        self.connections = set()
        self.release = threading.Event()   # ends "slow" replies, and lets "delay" answer
        self.delayed = threading.Event()   # a "delay" has come

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.release.clear()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """As if the network were gone: open connections break, new ones are refused."""
        self.release.set()
        listener, self.listener = self.listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()
        with self.lock:
            connections = list(self.connections)
        for c in connections:
            try:
                socket.socket.shutdown(c, socket.SHUT_RDWR)  # the TCP connection, without a farewell by TLS
            except OSError:
                pass

    def wait_requests(self, count, timeout=60):
        """Waits until `count` requests were seen."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.requests) >= count, timeout)

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, raw):
        try:
            s = self.tls.wrap_socket(raw, server_side=True)  # takes the descriptor over
        except OSError:
            raw.close()
            return
        with self.lock:
            self.connections.add(s)
        try:
            stream = s.makefile("rb")
            while self._one(s, stream):
                pass
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.connections.discard(s)
            s.close()

    # ---- one request ------------------------------------------------------------------------------------------------

    def _one(self, s, stream):
        line = stream.readline(65536)
        if not line:
            return False
        headers = []
        while True:
            h = stream.readline(65536)
            if h in (b"\r\n", b""):
                break
            name, _, value = h.decode("latin-1").rstrip("\r\n").partition(":")
            headers.append((name, value.strip()))
        if self.control and ("host", CONTROL_HOST) in [(n.lower(), v) for n, v in headers]:
            return self.control.reply(self, s, stream, line.decode("latin-1"), headers)
        if self.words:
            return self.words.reply(self, s, stream, line.decode("latin-1"), headers)
        behaviour = self._next_behaviour()
        if behaviour == "early-cut":
            self._note({"behaviour": behaviour, "status": 0})
            return False
        length = int(dict((n.lower(), v) for n, v in headers).get("content-length", "0"))
        if length > MAX_BODY:
            self._reply(s, 413, {}, b"")
            return False
        body = stream.read(length)
        if len(body) < length:
            return False
        entry = {"behaviour": behaviour, "line": line.decode("latin-1").strip(), "bytes": length}
        try:
            self._check_signature(line.decode("latin-1"), headers, body)
            entry["asked"] = self._check_headers(line.decode("latin-1"), headers)
            model, request, jpeg = self._check_request(line.decode("latin-1"), body)
            entry.update(model=model, page=hashlib.sha256(jpeg).hexdigest())
            return self._behave(s, behaviour, request, jpeg, entry)
        except Refused as r:
            entry.update(status=r.status, refused=r.kind, message=r.message)
            self._note(entry)
            self._error(s, r.status, r.kind, r.message)
            return True

    def _next_behaviour(self):
        with self.lock:
            behaviour = self.script.pop(0) if self.script else self.default
        assert behaviour in BEHAVIOURS, behaviour
        return behaviour

    def _note(self, entry):
        with self.changed:
            self.requests.append(entry)
            self.changed.notify_all()

    def _now(self):
        return datetime.now(timezone.utc) + timedelta(seconds=self.clock_offset_s)

    # ---- what AWS checks --------------------------------------------------------------------------------------------

    def _check_signature(self, line, headers, body, host=None, needed=("host", "authorization", "x-amz-date", "content-type", "content-length")):
        method, path, _ = line.split(" ", 2)
        host = host or self.host
        names = [n.lower() for n, _ in headers]
        for name in needed:
            if names.count(name) != 1:
                raise Refused(400, "IncompleteSignatureException", "%s: present %d times" % (name, names.count(name)))
        if "expect" in names or "transfer-encoding" in names:
            raise Refused(400, "ValidationException", "unexpected expect or transfer-encoding header")
        h = {n.lower(): v for n, v in headers}
        if h["host"] != host:
            raise Refused(403, "AccessDeniedException", "wrong host " + h["host"])
        m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([a-z0-9;-]+), "
                         r"Signature=([0-9a-f]{64})", h["authorization"])
        if not m:
            raise Refused(400, "IncompleteSignatureException", "authorization header is not of the form")
        key, day, region, service, signed, signature = m.groups()
        stamp = h["x-amz-date"]
        if not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or stamp[:8] != day:
            raise Refused(403, "InvalidSignatureException", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")
        if (region, service) != (REGION, self.service):
            raise Refused(403, "InvalidSignatureException", "Credential should be scoped to a valid region and service")
        sent = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        now = self._now()
        window = timedelta(minutes=5)
        form = "%Y%m%dT%H%M%SZ"
        if sent < now - window:
            raise Refused(403, "InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)" % (
                stamp, (now - window).strftime(form), now.strftime(form)))
        if sent > now + window:
            raise Refused(403, "InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 5 min.)" % (
                stamp, (now + window).strftime(form), now.strftime(form)))
        if key != self.credentials.access_key:
            raise Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        if h.get("x-amz-security-token") != self.credentials.token:
            raise Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
        signed = signed.split(";")
        must = ({"host", "x-amz-date", "content-type"} & set(needed)) | {n for n in names if n.startswith(("x-amz-", "x-amzn-"))}
        if signed != sorted(signed) or not must <= set(signed) or any(names.count(n) != 1 for n in signed):
            raise Refused(403, "InvalidSignatureException", "headers that must be signed are not: %s" % sorted(must - set(signed)))
        if h.get("x-amz-content-sha256", hashlib.sha256(body).hexdigest()) != hashlib.sha256(body).hexdigest():
            raise Refused(403, "InvalidSignatureException", "the body's hash is not the one in x-amz-content-sha256")
        request = AWSRequest(method=method, url="https://%s%s" % (host, path), data=body, headers={n: h[n] for n in signed})
        request.context["timestamp"] = stamp
        signer = SigV4Auth(self.credentials, self.service, REGION)
        want = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        if want != signature:
            raise Refused(403, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")

    def _check_headers(self, line, headers):
        """What is asked of Bedrock beside the body, by header: InvokeModel has headers for it, Converse has not."""
        operation = line.split(" ", 2)[1].rpartition("/")[2]
        h = {n.lower(): v for n, v in headers}
        own = {n[len("x-amzn-bedrock-"):]: v for n, v in h.items() if n.startswith("x-amzn-bedrock-")}
        if not line.split(" ", 2)[1].startswith("/model/"):
            return own
        if h["content-type"] != "application/json" or h.get("accept", ACCEPT.get(operation)) != ACCEPT.get(operation):
            raise Refused(400, "ValidationException", "The content type or accept header is not right: %r %r" % (h["content-type"], h.get("accept")))
        for name, value in own.items():
            if not operation.startswith("invoke") or name not in INVOKE_HEADERS or (name == "accept" and "stream" not in operation) or not re.fullmatch(INVOKE_HEADERS[name], value):
                raise Refused(400, "ValidationException", "x-amzn-bedrock-%s: %r is not for %s" % (name, value, operation))
        if ("guardrailidentifier" in own) != ("guardrailversion" in own):
            raise Refused(400, "ValidationException", "Guardrail identifier and version must be specified together.")
        self.check_options(own.get("guardrailidentifier"), own.get("guardrailversion"), own.get("service-tier"), own.get("request-metadata"))
        return own

    def check_options(self, guardrail=None, version=None, tier=None, metadata=None):
        """What the account has of guardrails, and the model of tiers; by header or in a body."""
        if guardrail and version not in self.guardrails.get(guardrail.rpartition("/")[2], ()):
            raise Refused(400, "ValidationException", "The guardrail identifier or version provided in the request does not exist.")
        if tier and tier not in self.tiers_offered:
            raise Refused(400, "ValidationException", "The provided service tier is not supported for this model.")
        if metadata is not None:
            pairs = json.loads(metadata)
            form = r"[a-zA-Z0-9\s:_@$#=/+,\-.]{%d,256}"
            if not 1 <= len(pairs) <= 16 or not all(re.fullmatch(form % 1, k) and re.fullmatch(form % 0, v) for k, v in pairs.items()):
                raise Refused(400, "ValidationException", "requestMetadata failed to satisfy constraint: %r" % metadata)

    def _check_request(self, line, body):
        method, path, _ = line.split(" ", 2)
        m = re.fullmatch(r"/model/([A-Za-z0-9._~%-]+)/invoke", path)
        if method != "POST" or not m:
            raise Refused(404, "UnknownOperationException", "no operation %s %s" % (method, path))
        model = urllib.parse.unquote(m[1])
        if model not in IN_REGION and not (self.control and model in self.control.profiles):
            raise Refused(400, "ValidationException", "Invocation of model ID %s with on-demand throughput isn't supported. Retry your request with the "
                          "ID or ARN of an inference profile that contains this model." % model if "nova-2" in model
                          else "The provided model identifier is invalid.")
        try:
            request = json.loads(body)
        except ValueError:
            raise Refused(400, "ValidationException", "Malformed input request, please reformat your input and try again.") from None
        return model, request, check_nova(request)

    # ---- what it answers --------------------------------------------------------------------------------------------

    def _behave(self, s, behaviour, request, jpeg, entry):
        errors = {
            "throttle": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
            "throttle-hint": (429, "ThrottlingException", "Too many tokens, please wait before trying again."),
            "server-error": (500, "InternalServerException", "The system encountered an unexpected error during processing. Try your request again."),
            "unavailable": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
            "expired-token": (403, "ExpiredTokenException", "The security token included in the request is expired"),
            "access-denied": (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
            "model-timeout": (408, "ModelTimeoutException", "Model timed out."),
            "model-error": (424, "ModelErrorException", "The model returned an error."),
            "quota": (400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account."),
        }
        if behaviour in errors:
            status, kind, message = errors[behaviour]
            entry.update(status=status)
            self._note(entry)
            extra = {"x-amz-retry-after": "300"} if behaviour == "throttle-hint" else {}
            self._error(s, status, kind, message, extra)
            return True
        if behaviour == "not-json-error":
            entry.update(status=502)
            self._note(entry)
            self._reply(s, 502, {"Content-Type": "text/html"}, b"<html><body>502 Bad Gateway</body></html>")
            return True
        if behaviour == "redirect":
            entry.update(status=307)
            self._note(entry)
            self._reply(s, 307, {"Location": "https://bedrock-runtime.us-east-1.amazonaws.com/"}, b"")
            return True
        if behaviour == "slow":
            entry.update(status=0)
            self._note(entry)
            self.release.wait(30)
            return False
        if behaviour == "delay":
            self.delayed.set()
            self.release.wait(30)
        payload, usage = self._answer(request, jpeg)
        if behaviour == "truncated":
            payload["stopReason"] = "max_tokens"
            payload["output"]["message"]["content"] = [{"text": "{\"supplier_name\": \"Wat"}]
        elif behaviour == "malformed-tool":
            payload["stopReason"] = "malformed_tool_use"
            payload["output"]["message"]["content"] = []
        elif behaviour == "filtered":
            payload["stopReason"] = "content_filtered"
            payload["output"]["message"]["content"] = [{"text": "The generated text has been blocked by our content filters."}]
        body = json.dumps(payload).encode()
        if behaviour == "garbage":
            body = b"\x00\xff{not json" * 20
        elif behaviour == "empty":
            body = b""
        elif behaviour == "huge":
            body = b"{\"output\": \"" + b"A" * (64 << 20) + b"\"}"
        entry.update(status=200, usage=usage)
        self._note(entry)
        headers = {"Content-Type": "application/json", "x-amzn-bedrock-input-token-count": str(usage["inputTokens"]),
                   "x-amzn-bedrock-output-token-count": str(usage["outputTokens"]), "x-amzn-bedrock-invocation-latency": "1234"}
        if behaviour == "cut":
            self._reply(s, 200, headers, body, cut=len(body) // 2)
            return False
        self._reply(s, 200, headers, body)
        return True

    def _answer(self, request, jpeg):
        tool = request["toolConfig"]["tools"][0]["toolSpec"] if "toolConfig" in request else None
        fields = pagereader.read_fields(jpeg, tool["inputSchema"]["json"].get("properties", {}) if tool
                                        else plain_properties(request["messages"][-1]["content"][-1]["text"]))
        width, height = Image.open(io.BytesIO(jpeg)).size
        text = sum(len(json.dumps(c)) for m in request["messages"] for c in m["content"] if "image" not in c) + len(json.dumps(tool))
        usage = {"inputTokens": width * height // 1000 + text // 4, "outputTokens": len(json.dumps(fields)) // 3 + 20}
        usage["totalTokens"] = usage["inputTokens"] + usage["outputTokens"]
        content = [{"toolUse": {"toolUseId": "tooluse_" + uuid.uuid4().hex[:22], "name": tool["name"], "input": fields}} if tool
                   else {"text": "```json\n%s\n```" % json.dumps(fields)}]
        return {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use" if tool else "end_turn", "usage": usage}, usage

    def _error(self, s, status, kind, message, extra=None):
        headers = {"Content-Type": "application/json",
                   "x-amzn-ErrorType": kind + ":http://internal.amazon.com/coral/com.amazon.bedrock/"}
        self._reply(s, status, dict(headers, **(extra or {})), json.dumps({"message": message}).encode())

    def _reply(self, s, status, headers, body, cut=None):
        head = ["HTTP/1.1 %d Reply" % status, "Date: " + format_datetime(self._now(), usegmt=True),
                "x-amzn-RequestId: " + str(uuid.uuid4()), "Content-Length: %d" % len(body), "Connection: keep-alive"]
        head += ["%s: %s" % kv for kv in headers.items()]
        try:
            s.sendall(("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + (body if cut is None else body[:cut]))
        except OSError:
            pass


def only(value, path, **members):
    """Checks an object's members against types; raises AWS's complaint on any other."""
    if not isinstance(value, dict):
        raise Refused(400, "ValidationException", "Malformed input request: #%s: expected type: JSONObject" % path)
    for name in value:
        if name not in members:
            raise Refused(400, "ValidationException", "Malformed input request: #%s: extraneous key [%s] is not permitted, please reformat your "
                          "input and try again." % (path, name))
        if not isinstance(value[name], members[name]) or isinstance(value[name], bool):
            raise Refused(400, "ValidationException", "Malformed input request: #%s/%s: unexpected type" % (path, name))


def check_turns(request):
    """The messages of Nova and of Converse: turns in order, and each use of the tool followed by its result; returns the images' data."""
    def refuse(message):
        raise Refused(400, "ValidationException", message)
    tools = (request.get("toolConfig") or {}).get("tools") or [{}]
    tool = tools[0].get("toolSpec", {}).get("name")
    images, open_use = [], None
    for i, message in enumerate(request.get("messages") or refuse("messages is required")):
        only(message, "/messages/%d" % i, role=str, content=list)
        if message["role"] != ("user", "assistant")[i % 2]:
            refuse("A conversation must start with a user message and alternate between user and assistant roles.")
        if open_use and [b.get("toolResult", {}).get("toolUseId") for b in message["content"][:1]] != [open_use]:
            refuse("Expected toolResult blocks at messages.%d.content for the following Ids: %s" % (i, open_use))
        used = open_use
        open_use = None
        for k, block in enumerate(message["content"] or refuse("content is empty")):
            only(block, "/messages/%d/content" % i, **({"text": str, "image": dict, "toolResult": dict} if i % 2 == 0 else {"text": str, "toolUse": dict}))
            if len(block) != 1:
                refuse("a content block has exactly one member")
            if "text" in block and not block["text"].strip():
                refuse("The text field in the ContentBlock object is blank.")
            if "image" in block:
                only(block["image"], "/image", format=str, source=dict)
                only(block["image"]["source"], "/image/source", bytes=str)
                if block["image"]["format"] != "jpeg":
                    refuse("the image is a JPEG but its format says " + block["image"]["format"])
                images.append(block["image"]["source"]["bytes"])
            if "toolUse" in block:
                only(block["toolUse"], "/toolUse", toolUseId=str, name=str, input=dict)
                if not re.fullmatch("[a-zA-Z0-9_-]{1,64}", block["toolUse"]["toolUseId"]) or block["toolUse"]["name"] != tool or open_use:
                    refuse("The toolUse block is not of a tool that is there.")
                open_use = block["toolUse"]["toolUseId"]
            if "toolResult" in block:
                only(block["toolResult"], "/toolResult", toolUseId=str, content=list, status=str)
                if k or block["toolResult"]["toolUseId"] != used or block["toolResult"]["status"] != "success" or not block["toolResult"]["content"]:
                    refuse("The toolResult block is not of the toolUse before it.")
                for c in block["toolResult"]["content"]:
                    only(c, "/toolResult/content", text=str)
    if len(request["messages"]) % 2 == 0:
        refuse("The conversation must end with a user message.")
    return images


def plain_properties(prompt):
    """What a model that is shown no schema can know: the names in what it is told."""
    return {name: {} for name in re.findall(r"\b[a-z]+(?:_[a-z]+)*\b", prompt)}


def check_nova(request):
    """The Nova messages-v1 request with one forced tool and one image; returns the image's bytes."""
    def refuse(message):
        raise Refused(400, "ValidationException", message)
    only(request, "", schemaVersion=str, system=list, messages=list, inferenceConfig=dict, toolConfig=dict)
    if request.get("schemaVersion") != "messages-v1":
        refuse("schemaVersion must be messages-v1")
    for block in request.get("system", []):
        only(block, "/system", text=str)
    config = request.get("inferenceConfig", {})
    only(config, "/inferenceConfig", maxTokens=int, temperature=(int, float), topP=(int, float), topK=int, stopSequences=list)
    if not 1 <= config.get("maxTokens", 1) <= 5000 or not 0 <= config.get("temperature", 0) <= 1 or not 0 <= config.get("topK", 1) <= 128:
        refuse("inferenceConfig is out of range")
    try:
        images = [base64.b64decode(data, validate=True) for data in check_turns(request)]
    except binascii.Error:
        refuse("image bytes are not base64")
    if len(images) != 1:
        refuse("one page image was expected, %d came" % len(images))
    try:
        image = Image.open(io.BytesIO(images[0]))
        image.load()
    except (OSError, SyntaxError):
        refuse("The provided image could not be processed.")
    if image.format != "JPEG" or max(image.size) > 2048 or image.getexif():
        refuse("expected a JPEG of at most 2048 px without metadata, got %s %s" % (image.format, image.size))
    if "toolConfig" not in request:
        return images[0]
    tools = request["toolConfig"]
    only(tools, "/toolConfig", tools=list, toolChoice=dict)
    if len(tools["tools"]) != 1:
        refuse("one tool was expected")
    only(tools["tools"][0], "/toolConfig/tools/0", toolSpec=dict)
    spec = tools["tools"][0]["toolSpec"]
    only(spec, "/toolSpec", name=str, description=str, inputSchema=dict)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", spec["name"]):
        refuse("a tool's name is [a-zA-Z0-9_-]+")
    only(spec["inputSchema"], "/inputSchema", json=dict)
    if spec["inputSchema"]["json"].get("type") != "object":
        refuse("The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.")
    if tools.get("toolChoice") != {"tool": {"name": spec["name"]}}:
        refuse("toolChoice does not force the tool")
    return images[0]
