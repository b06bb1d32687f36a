"""A stand-in for Bedrock in Sydney that plays the table of errors: every port plays one row of docs/errors.md, after the request was checked as strictly
as ever (standin_aws.py). Types come in each form that AWS's services use: a header, `__type` or `code` of JSON, XML."""
import json
import os
import re
import socket
import ssl
import struct
import threading

from service import ROOT
from standin_aws import BedrockStandin, make_ca

SMALL = 4096  # bytes of a socket's buffer: far less than a page

# The status that AWS sends a type with; 400 for all others.
STATUSES = {429: "ThrottlingException ThrottledException RequestThrottled RequestThrottledException TooManyRequestsException SlowDown ModelNotReadyException "
                 "LimitExceededException",
            503: "RequestLimitExceeded EC2ThrottledException BandwidthLimitExceeded ServiceUnavailableException ServiceUnavailable",
            403: "AccessDeniedException AccessDenied UnauthorizedOperation NotAuthorized InvalidSignatureException SignatureDoesNotMatch AuthFailure "
                 "RequestTimeTooSkewed ExpiredTokenException ExpiredToken UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId "
                 "MissingAuthenticationToken MissingAuthenticationTokenException IDPRejectedClaim IDPRejectedClaimException RegionDisabledException "
                 "OptInRequired",
            404: "ResourceNotFoundException UnknownOperationException FTUFormNotFilled NoSuchBucket",
            408: "ModelTimeoutException", 409: "ConflictException",
            413: "RequestEntityTooLargeException PayloadTooLargeException EntityTooLarge",
            424: "ModelErrorException ModelError ModelStreamErrorException ModelStreamError",
            500: "InternalServerException InternalServerError InternalFailure InternalError InternalStreamFailure", 530: "InternalDependencyException"}
STATUS_OF = {kind: status for status, kinds in STATUSES.items() for kind in kinds.split()}
# What AWS says with a type whose row asks for no words.
SAYS = {"ThrottlingException": "Too many requests, please wait before trying again.", "ValidationException": "Malformed input request: #: not permitted"}


class Row:
    """One row of docs/errors.md."""

    def __init__(self, line):
        cells = [c.strip().strip("`") for c in line.strip().strip("|").split("|")]
        self.status, self.kind, self.said, self.page, self.backend, wait, self.billed, self.reason, self.advice = cells
        self.wait, _, least = wait.partition(", ")
        self.least_ms = int(least[:-len(" s")]) * 1000 if least else 0
        self.reason, *flags = [f.strip("` ") for f in self.reason.split(",")]
        self.once, self.smaller = "once" in flags, "smaller" in flags
        self.name = " ".join(c for c in (self.status, self.kind, self.said) if c and c != "any") or "any"

    def is_transport(self):
        return self.status != "any" and not self.status[0].isdigit()

    def takes(self, status, kind, message):
        """Would the table's reader stop here?"""
        numbers = [int(n) for n in re.findall(r"\d+", self.status)]
        return (not self.is_transport() and (not numbers or numbers[0] <= status <= numbers[-1]) and
                (not self.kind or self.kind.lower() == kind.lower()) and self.said.lower() in message.lower())


def rows():
    with open(os.path.join(ROOT, "docs/errors.md"), encoding="utf-8") as f:
        lines = [line for line in f if line.startswith("| ")]
    return [Row(line) for line in lines[1:]]  # less its head


class Play:
    """What a port does. A reply of `status`, `kind` and `message`, or `how`: one of ErrorStandin.HOW."""

    def __init__(self, how="reply", status=0, kind="", message="", form=0, more=None, headers=None):
        self.how, self.status, self.kind, self.message, self.form = how, status, kind, message, form
        self.more, self.headers = more or {}, headers or {}

    def reply(self):
        """The headers and the body."""
        if not self.kind:
            return {"Content-Type": "text/html"}, b"<html><body>a proxy's page</body></html>"
        message = {("message", "Message")[self.form % 2]: self.message}
        if self.form % 4 == 0:
            return {"Content-Type": "application/json", "x-amzn-ErrorType": self.kind + ":http://internal.amazon.com/coral/"}, dict(message, **self.more)
        if self.form % 4 == 1:
            return {"Content-Type": "application/json"}, dict(message, __type="com.amazon.coral.service#" + self.kind, **self.more)
        if self.form % 4 == 2:
            return {"Content-Type": "application/json"}, dict(message, code=self.kind, **self.more)
        return {"Content-Type": "text/xml"}, ("<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>" % (
            self.kind, self.message)).encode()


class ErrorStandin(BedrockStandin):
    """`with ErrorStandin(folder) as aws: port = aws.open(play)`."""

    HOW = {"reply", "ok", "no-connection", "other-name", "silent", "silent-upload", "cut", "cut-upload", "shrink", "huge", "redirect", "delay"}

    def __init__(self, folder):
        super().__init__(folder)
        other = os.path.join(folder, "other")
        os.mkdir(other)
        _, cert, key = make_ca(other, ("DNS:elsewhere.example",))
        self.other_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.other_tls.load_cert_chain(cert, key)
        self.plays, self.listeners = {}, []
        self.stalled, self.shrunk = threading.Event(), threading.Event()  # of "shrink"

    def stop(self):
        super().stop()
        self.shrunk.set()
        for listener in self.listeners:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def open(self, play):
        assert play.how in self.HOW, play.how
        listener = socket.socket()
        if play.how in ("silent-upload", "cut-upload", "shrink"):
            # Neither end's buffers hold a page, so that most of it cannot have left.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.plays[port] = play
        if play.how == "no-connection":
            self.listeners.append(listener)  # the port is taken, and nobody listens
            return port
        listener.listen(16)
        self.listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return port

    def _serve(self, raw):
        if self.plays.get(raw.getsockname()[1], Play()).how == "other-name":
            try:
                self.other_tls.wrap_socket(raw, server_side=True).close()
            except OSError:
                raw.close()
            return
        super()._serve(raw)

    def _one(self, s, stream):
        play = self.plays[s.getsockname()[1]]
        if play.how not in ("silent-upload", "cut-upload", "shrink"):
            return super()._one(s, stream)
        while stream.readline(65536).strip():
            pass
        stream.read(1000)  # of the body: some of it has left
        self._note({"port": s.getsockname()[1], "status": 0})
        if play.how == "silent-upload":
            self.release.wait(60)
        elif play.how == "cut-upload":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        else:
            self.stalled.set()
            self.shrunk.wait(60)
            try:
                while stream.read(65536):
                    pass
            except OSError:
                pass
        return False

    def _note(self, entry):
        entry.setdefault("port", None)
        super()._note(entry)

    def _behave(self, s, behaviour, request, jpeg, entry):
        port = s.getsockname()[1]
        play = self.plays[port]
        entry.update(port=port)
        if play.how != "reply":
            return super()._behave(s, {"silent": "slow"}.get(play.how, play.how), request, jpeg, entry)
        entry.update(status=play.status)
        self._note(entry)
        headers, body = play.reply()
        self._reply(s, play.status, dict(headers, **play.headers), body if isinstance(body, bytes) else json.dumps(body).encode())
        return True


def play_of(row, number):
    """What makes the table's reader stop at this row, unless another row before it does."""
    if row.is_transport():
        how = {"no connection": "no-connection", "TLS": "other-name", "timeout, the whole page was sent": "silent",
               "timeout, before the whole page was sent": "silent-upload", "cut, the whole page was sent": "cut",
               "cut, before the whole page was sent": "cut-upload", "reply too large": "huge", "redirect": "redirect", "local": "shrink"}
        return Play(how[row.status]) if row.status in how else None
    status = {"400 to 499": 418, "500 to 999": 502, "any": 202}.get(row.status) or int(row.status)
    if row.kind:
        status = STATUS_OF.get(row.kind, 400)
    said = "AWS says: %s, in this place." % row.said if row.said else SAYS.get(row.kind, "Something is not as it should be.")
    return Play(status=status, kind=row.kind, message=said if row.kind else "", form=number)
