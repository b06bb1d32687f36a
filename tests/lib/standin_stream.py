"""The stand-in for Bedrock with its streams: ConverseStream, and InvokeModelWithResponseStream for Nova and Claude.

The question is checked as its parent checks it; the answer goes out as events, in frames made here by the fact sheet alone, in chunks of an odd size.
What goes wrong with a stream is scripted like all else: `stream-NAME`, and `stream-exception:TYPE` after the first part of an answer.
"""
import base64
import json
import socket
import struct
import uuid
import zlib

from standin_aws import BEHAVIOURS, EVENTSTREAM
from standin_models import ModelsStandin

STREAMS = {"bad-crc", "bad-prelude", "cut-prelude", "cut-header", "cut-payload", "cut-answer", "no-end", "no-metadata", "huge-frame", "huge-headers", "html",
           "pause", "chatter", "blanks", "not-json", "exception-first", "counts-differ"}
ORDER = ["first", "rest", "stop", "told"]


def crc(data):
    return struct.pack(">I", zlib.crc32(data))


def header(name, value):
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()


def frame(payload, **headers):
    """One message; headers of type string, the names of which begin with a colon."""
    head = b"".join(header(":" + n.replace("_", "-"), v) for n, v in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    prelude += crc(prelude)
    return prelude + head + payload + crc(prelude + head + payload)


def event(kind, value):
    return frame(json.dumps(value).encode(), event_type=kind, content_type="application/json", message_type="event")


def chunk(value):
    return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode(), "p": "abcdefghijkl"[:len(str(value)) % 12]})


def exception(kind, message):
    return frame(json.dumps({"message": message}).encode(), exception_type=kind, content_type="application/json", message_type="exception")


def pieces(text):
    """An answer as models give it: a few characters at a time."""
    return [text[i:i + 23] for i in range(0, len(text), 23)]


def camel_events(payload):
    """Converse's events, in parts by ORDER: (name, value) each."""
    out = {"first": [("messageStart", {"role": "assistant"})], "rest": [], "stop": [], "told": []}
    for i, block in enumerate(payload["output"]["message"]["content"]):
        use = block.get("toolUse")
        if use:
            out["first"].append(("contentBlockStart", {"start": {"toolUse": {k: use[k] for k in ("toolUseId", "name")}}, "contentBlockIndex": i}))
        deltas = [{"toolUse": {"input": p}} if use else {"text": p} for p in pieces(json.dumps(use["input"]) if use else block["text"])]
        deltas = [("contentBlockDelta", {"delta": d, "contentBlockIndex": i}) for d in deltas]
        out["first"] += deltas[:len(deltas) // 2]
        out["rest"] += deltas[len(deltas) // 2:] + [("contentBlockStop", {"contentBlockIndex": i})]
    out["stop"].append(("messageStop", {"stopReason": payload["stopReason"]}))
    out["told"].append(("metadata", {"usage": payload["usage"], "metrics": {"latencyMs": 1234}}))
    return out


def claude_events(payload):
    start = dict(payload, content=[], stop_reason=None, usage=dict(payload["usage"], output_tokens=1))
    out = {"first": [{"type": "message_start", "message": start}, {"type": "ping"}], "rest": [], "stop": [], "told": []}
    for i, block in enumerate(payload["content"]):
        use = block["type"] == "tool_use"
        out["first"].append({"type": "content_block_start", "index": i, "content_block": dict(block, input={}) if use else {"type": "text", "text": ""}})
        deltas = [{"type": "input_json_delta", "partial_json": p} if use else {"type": "text_delta", "text": p}
                  for p in ([""] if use else []) + pieces(json.dumps(block["input"]) if use else block["text"])]
        deltas = [{"type": "content_block_delta", "index": i, "delta": d} for d in deltas]
        out["first"] += deltas[:len(deltas) // 2]
        out["rest"] += deltas[len(deltas) // 2:] + [{"type": "content_block_stop", "index": i}]
    usage = payload["usage"]
    out["stop"].append({"type": "message_delta", "delta": {"stop_reason": payload["stop_reason"], "stop_sequence": None},
                        "usage": {"output_tokens": usage["output_tokens"]}})
    out["told"].append({"type": "message_stop", "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": usage["input_tokens"], "outputTokenCount": usage["output_tokens"], "invocationLatency": 1234, "firstByteLatency": 100}})
    return out


def events(operation, payload):
    """The frames of an answer, in parts by ORDER."""
    if operation == "converse-stream":
        return {part: [event(n, v) for n, v in list_] for part, list_ in camel_events(payload).items()}
    if "content" in payload:
        return {part: [chunk(v) for v in list_] for part, list_ in claude_events(payload).items()}
    out = {part: [{n: v} for n, v in list_] for part, list_ in camel_events(payload).items()}
    out["told"][0]["amazon-bedrock-invocationMetrics"] = {"inputTokenCount": payload["usage"]["inputTokens"], "outputTokenCount": payload["usage"]["outputTokens"]}
    return {part: [chunk(v) for v in list_] for part, list_ in out.items()}


def delta(operation, text, tool):
    """One more piece of the answer."""
    if operation == "converse-stream":
        return event("contentBlockDelta", {"delta": {"toolUse": {"input": text}} if tool else {"text": text}, "contentBlockIndex": 0})
    return chunk({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": text} if tool
                  else {"type": "text_delta", "text": text}})


class StreamStandin(ModelsStandin):
    """`default` and `script` take the streams' own troubles too. What is asked without a stream is answered without one."""

    def __init__(self, folder, **more):
        super().__init__(folder, **more)
        self.left = []  # of streams without an end: how many bytes had gone out when the client left

    def _next_behaviour(self):
        with self.lock:
            behaviour = self.script.pop(0) if self.script else self.default
        assert behaviour in BEHAVIOURS or behaviour.partition("-")[2].partition(":")[0] in STREAMS | {"exception"}, behaviour
        return behaviour

    def _check_request(self, line, body):
        method, path, version = line.split(" ", 2)
        for ours, theirs in (("/converse-stream", "/converse"), ("/invoke-with-response-stream", "/invoke")):
            if path.endswith(ours):
                path = path[:-len(ours)] + theirs
        return super()._check_request(" ".join((method, path, version)), body)

    def _behave(self, s, behaviour, request, jpeg, entry):
        operation = entry["line"].split(" ")[1].rpartition("/")[2]
        if not operation.endswith("-stream") or not (behaviour == "ok" or behaviour.startswith("stream-")):
            return super()._behave(s, behaviour, request, jpeg, entry)
        payload, usage = self._answer(request, jpeg)
        entry.update(status=200, usage=usage)
        self._note(entry)
        try:
            return self._stream(s, operation, behaviour.partition("-")[2], payload)
        except OSError:
            return False

    def _stream(self, s, operation, how, payload):
        parts = events(operation, payload)
        head = {"Content-Type": EVENTSTREAM, "Transfer-Encoding": "chunked", "Connection": "keep-alive", "x-amzn-RequestId": str(uuid.uuid4())}
        if operation.startswith("invoke"):
            head["X-Amzn-Bedrock-Content-Type"] = "application/json"
        head["Date"] = self._date()
        s.sendall(("HTTP/1.1 200 OK\r\n" + "".join("%s: %s\r\n" % kv for kv in head.items()) + "\r\n").encode())
        tool = "tool_use" in json.dumps(payload)
        whole = b"".join(f for part in ORDER for f in parts[part])
        first = b"".join(parts["first"])
        if how in ("", "pause"):
            self._put(s, first)
            if how == "pause":
                self.delayed.set()
                self.release.wait(30)
            self._put(s, whole[len(first):])
        elif how.startswith("exception"):
            self._put(s, b"" if how == "exception-first" else first)
            self._put(s, exception(how.partition(":")[2] or "throttlingException", "Too many requests, please wait before trying again."))
        elif how in ("no-end", "no-metadata"):
            self._put(s, b"".join(f for part in ORDER[:2 if how == "no-end" else 3] for f in parts[part]))
        elif how == "bad-crc":
            self._put(s, whole[:len(first) - 1] + bytes([first[-1] ^ 1]) + whole[len(first):])
        elif how == "bad-prelude":
            self._put(s, first + struct.pack(">III", 1 << 31, 16, 0) + whole[len(first):])
        elif how.startswith("cut-"):
            last = parts["first"][-1]
            start = len(first) - len(last)
            self._put(s, whole[:start + {"prelude": 7, "header": 30, "payload": len(last) - 9, "answer": len(last)}[how[4:]]])
            s.shutdown(socket.SHUT_RDWR)
            return False
        elif how == "huge-frame":
            prelude = struct.pack(">II", (16 << 20) + 16, 0)
            self._put(s, first + prelude + crc(prelude))
            self._for_ever(s, b"x" * 4096)
            return False
        elif how == "huge-headers":
            prelude = struct.pack(">II", (1 << 20) + 16, 1 << 20)
            self._put(s, first + prelude + crc(prelude))
            self._for_ever(s, b"x" * 4096)
            return False
        elif how == "html":
            self._put(s, b"<html><body>Sign in to the network</body></html>")
        elif how == "counts-differ":
            payload["usage"]["output_tokens"] += 5  # of Claude's: in what Bedrock adds at the end, not in its own
            self._put(s, whole[:-len(parts["told"][0])] + events(operation, payload)["told"][0])
        elif how == "chatter":
            self._put(s, b"".join(f for part in ORDER[:2] for f in parts[part]))
            self._for_ever(s, delta(operation, "By the way, ", tool))
            return False
        elif how == "blanks":
            self._put(s, first)
            self._for_ever(s, delta(operation, "\n        ", tool))
            return False
        elif how == "not-json":
            self._put(s, first)
            self._for_ever(s, delta(operation, "\x01 no, wait", tool))
            return False
        self._put(s, None)
        return True

    def _date(self):
        return self._now().strftime("%a, %d %b %Y %H:%M:%S GMT")

    @staticmethod
    def _put(s, data):
        """In chunks of HTTP that have nothing to do with the frames; None: the end."""
        if data is None:
            s.sendall(b"0\r\n\r\n")
            return
        for i in range(0, len(data), 61):
            piece = data[i:i + 61]
            s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _for_ever(self, s, data):
        sent = 0
        try:
            while not self.release.is_set():
                self._put(s, data)
                sent += len(data)
        finally:
            with self.changed:
                self.left.append(sent)
                self.changed.notify_all()
