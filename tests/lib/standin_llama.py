"""A stand-in for llama-server on an attached Jetson, for what the real one cannot be made to do on demand. Plain HTTP on loopback; answers
are read from the page's pixels (pagereader.py). The real llama-server is used in tests/full."""
import base64
import hashlib
import http.server
import json
import re
import socket
import threading
import time

import pagereader


class LlamaStandin:
    def __init__(self, key=None):
        self.key = key
        self.default, self.script = "ok", []  # ok, loading, does-not-match, no-vision, overflow, length, cut
        self.requests = []
        self.connections = set()
        self.port = 0
        self.server = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        standin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                standin.connections.add(self.connection)

            def finish(self):
                standin.connections.discard(self.connection)
                super().finish()

            def log_message(self, *_):
                pass

            def do_GET(self):
                standin.get(self)

            def do_POST(self):
                standin.post(self)

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        for c in list(self.connections):
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def reply(h, status, value):
        body = json.dumps(value).encode()
        h.send_response(status)
        h.send_header("Content-Type", "application/json; charset=utf-8")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def error(self, h, status, kind, message, **more):
        self.reply(h, status, {"error": dict({"code": status, "message": message, "type": kind}, **more)})

    def get(self, h):
        loading = (self.script[:1] or [self.default])[0] == "loading"
        if loading:
            self.error(h, 503, "unavailable_error", "Loading model")
        elif h.path in ("/health", "/v1/health"):
            self.reply(h, 200, {"status": "ok"})
        elif h.path == "/v1/models":
            self.reply(h, 200, {"data": [{"id": "standin", "object": "model"}]})
        else:
            self.error(h, 404, "not_found_error", "File Not Found")

    def post(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length", "0")))
        behaviour = self.script.pop(0) if self.script else self.default
        entry = {"behaviour": behaviour, "status": 200}
        self.requests.append(entry)

        def fail(status, kind, message, **more):
            entry["status"] = status
            self.error(h, status, kind, message, **more)
        if behaviour == "loading":
            return fail(503, "unavailable_error", "Loading model")
        if self.key and h.headers.get("Authorization") != "Bearer " + self.key:
            return fail(401, "authentication_error", "Invalid API Key")
        if h.path != "/v1/chat/completions":
            return fail(404, "not_found_error", "File Not Found")
        try:
            request = json.loads(body)
            content = [b for m in request["messages"] if m["role"] == "user" for b in m["content"]]
            url = next(b["image_url"]["url"] for b in content if b["type"] == "image_url")
            m = re.fullmatch(r"data:image/jpeg;base64,([A-Za-z0-9+/]+={0,2})", url)
            jpeg = base64.b64decode(m[1], validate=True)
        except (ValueError, KeyError, TypeError, StopIteration):
            return fail(400, "invalid_request_error", "the request is not what the stand-in expects")
        entry["page"] = hashlib.sha256(jpeg).hexdigest()
        if jpeg[:2] != b"\xff\xd8" or jpeg[-2:] != b"\xff\xd9" or request.get("stream"):
            return fail(400, "invalid_request_error", "Failed to load image or audio file")
        if behaviour == "no-vision":
            return fail(500, "server_error", "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj")
        if behaviour == "does-not-match":
            return fail(500, "server_error", "The model produced output that does not match the expected peg-native format")
        if behaviour == "overflow":
            return fail(400, "exceed_context_size_error", "request (3861 tokens) exceeds the available context size (2048 tokens), try increasing it",
                        n_prompt_tokens=3861, n_ctx=2048)
        # The wrong nesting of the schema is silently no schema at all, as in the real server: any object then.
        schema = request.get("response_format", {}).get("json_schema", {}).get("schema", {})
        text = json.dumps(pagereader.read_fields(jpeg, schema.get("properties", {})))
        finish = "stop"
        if behaviour == "length":
            text, finish = "```json\n" + text[:20], "length"
        usage = {"completion_tokens": len(text) // 3, "prompt_tokens": 2400, "total_tokens": 2400 + len(text) // 3}
        if behaviour == "cut":
            h.send_response(200)
            h.send_header("Content-Length", "100000")
            h.end_headers()
            h.wfile.write(b"{")
            h.close_connection = True
            return None
        return self.reply(h, 200, {"choices": [{"finish_reason": finish, "index": 0, "message": {"role": "assistant", "content": text}}],
                                   "created": int(time.time()), "model": "standin", "object": "chat.completion", "usage": usage,
                                   "id": "chatcmpl-standin"})
