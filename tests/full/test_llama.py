#!/usr/bin/python3
"""The OpenAI-style backend against the real llama-server with a tiny scripted vision model: exact fields, and the server's real failures."""
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

import suite
import tinymodel
from service import ROOT, Service, sample

FIELDS = {"merchant_name": "GLEBE CORNER STORE", "merchant_abn": "51824753556", "date": "2026-03-04", "gst": "1.00", "total": "11.00",
          "lines": [{"description": "FLAT WHITE", "amount": "11.00"}]}
FOLDER = tempfile.TemporaryDirectory(prefix="pageferry-llama-", dir="/tmp")


def fetch():
    cache = os.environ.get("PAGEFERRY_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pageferry")
    p = subprocess.run([ROOT + "/tests/full/get-llama-server.sh", os.path.join(cache, "llama")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       encoding="utf-8", check=False)
    if p.returncode:
        raise suite.Skip(p.stdout.strip() or "llama-server cannot be had")
    environment, *command = p.stdout.split()
    return dict(os.environ, **dict([environment.split("=", 1)])), command


class Llama:
    def __init__(self, projector=True, context="4096", key=None):
        self.environment, self.command = fetch()
        model, mmproj = tinymodel.make(FOLDER.name, json.dumps(FIELDS, separators=(",", ":")))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.arguments = ["--host", "127.0.0.1", "--port", str(self.port), "-m", model, "-c", context, "-np", "1", "-t", "2", "--no-warmup", "--no-ui",
                          "--offline", "--image-max-tokens", "128"]
        self.arguments += ["--mmproj", mmproj] if projector else []
        self.arguments += ["--api-key", key] if key else []
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)

    def start(self):
        with open(FOLDER.name + "/llama.log", "ab") as log:
            self.process = subprocess.Popen(self.command + self.arguments, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                c.request("GET", "/health")
                if c.getresponse().status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.1)  # polling a foreign server's port: there is nothing to wait on
        with open(FOLDER.name + "/llama.log", errors="replace", encoding="utf-8") as f:
            raise AssertionError("llama-server did not come up: " + f.read()[-1500:])

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait()
        self.process = None


def service(llama, route="jetson", **more):
    return Service({"Route": {"Backends": route}, "Backend jetson": dict(
        {"Kind": "openai", "URL": "http://127.0.0.1:%d" % llama.port, "Backoff": "100ms", "BackoffMax": "500ms", "FallbackAfter": "0s", "Timeout": "60s"}, **more)})


def test_exact_fields():
    with Llama() as llama, service(llama) as s:
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done"})
        result = s.call("Show", page=ids[0])["results"][0]
        got = {k: v["value"] for k, v in result["fields"].items() if v.get("value") is not None}
        assert got == FIELDS, got
        attempt = s.rows("SELECT * FROM attempts")[0]
        assert attempt["tokens_input"] > 100 and attempt["tokens_output"] > 10, attempt


def test_no_projector_is_named():
    with Llama(projector=False) as llama, service(llama, "jetson ocr") as s:
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"provisional"})
        # Its health says 200, so between two tries it counts as up: wait for the moment it is known not to be.
        backend = s.wait(lambda: next((b for b in s.call("Status")["backends"] if b["name"] == "jetson" and b["state"] == "down"), None))
        assert "mmproj" in backend["message"], backend


def test_small_context_goes_down_the_route():
    with Llama(context="512") as llama, service(llama, "jetson ocr") as s:
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done", "provisional"})
        # Smaller first, and when that does not help either, to the next.
        rows = s.rows("SELECT outcome, reason FROM attempts WHERE backend = 'jetson' ORDER BY id")
        assert [r["outcome"] for r in rows] == ["retry", "retry", "next"] and {r["reason"] for r in rows} == {"too-large"}, rows


def test_wrong_key_pauses():
    with Llama(key="right-key") as llama, service(llama, "jetson ocr") as s:
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"provisional"})
        assert next(b for b in s.call("Status")["backends"] if b["name"] == "jetson")["state"] == "down"


def test_killed_and_back_again():
    with Llama() as llama, service(llama, "jetson ocr") as s:
        llama.stop(signal.SIGKILL)
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"provisional"})
        llama.start()
        s.wait_states(ids, {"done"})


suite.main()
