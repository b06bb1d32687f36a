#!/usr/bin/python3
"""With nothing configured pages become fields by OCR on the device; bad input is refused with a reason and the others go on."""
import json
import os
import shutil
import signal
import subprocess

import jsonschema
from PIL import Image

import suite
from service import ROOT, Service, sample, truth
from varlink import VarlinkError


def ctl(s, *args, **more):
    return subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", stdin=subprocess.DEVNULL, timeout=120, check=False, **more)


def test_page_becomes_fields():
    with Service() as s:
        ids = s.submit(sample("invoice-2"))
        assert len(ids) == 1, ids
        s.wait_states(ids, {"done"})
        s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
        result = s.result(ids[0])
        with open(ROOT + "/docs/result.schema.json", encoding="utf-8") as f:
            jsonschema.validate(result, json.load(f))
        want = truth("invoice-2")["fields"]
        assert result["type"] == "invoice" and result["backend"] == "ocr", result
        for name in ("supplier_abn", "total", "gst"):
            assert result["fields"][name]["value"] == want[name], (name, result["fields"][name])
            assert result["fields"][name]["proof"] == "verified", result["fields"][name]
        assert s.stop() == 0


def test_result_survives_restart():
    with Service() as s:
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done"})
        s.stop()
        s.start()
        shown = s.call("Show", page=ids[0])
        assert shown["page"]["state"] == "done" and len(shown["results"]) == 1, shown
        assert s.rows("SELECT count(*) AS n FROM attempts")[0]["n"] == 1


def test_bad_input_is_named_and_others_go_on():
    with Service() as s:
        bad = {"empty.jpg": b"", "text.jpg": b"this is no image, it is a letter\n" * 20}
        with open(sample("receipt-2"), "rb") as f:
            whole = f.read()
        bad["half.jpg"] = whole[:len(whole) // 2]
        # A header that promises 65500 x 65500 pixels.
        at = whole.index(b"\xff\xc0")
        bad["vast.jpg"] = whole[:at + 5] + b"\xff\xdc\xff\xdc" + whole[at + 9:]
        files = []
        for name, data in bad.items():
            files.append(os.path.join(s.folder, name))
            with open(files[-1], "wb") as f:
                f.write(data)
        r = ctl(s, "extract", "--json", *files, sample("receipt-2"))
        assert r.returncode == 1, r
        lines = [json.loads(line) for line in r.stdout.splitlines()]
        text = r.stdout + r.stderr
        for name in bad:
            assert name in text, text
        assert "Traceback" not in text and "(core dumped)" not in text
        pages = s.pages()
        assert len(pages) == 1 and list(pages.values())[0]["name"] == "receipt-2.jpg", (pages, lines)
        s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)  # an export passes through tmp/ too
        assert os.listdir(s.spool + "/tmp") == []


def test_max_pixels_reaches_the_helper():
    """A page of 8.7 million pixels and one of 4 million."""
    with Service({"Capture": {"MaxPixels": "5000000"}}) as s:
        small = os.path.join(s.folder, "small.jpg")
        with Image.open(sample("receipt-2")) as page:
            page.resize((1680, 2376)).save(small)
        r = ctl(s, "extract", "--json", sample("receipt-2"), small)
        assert r.returncode == 1 and "at most 5000000" in r.stdout + r.stderr, r
        assert [p["name"] for p in s.pages().values()] == ["small.jpg"], s.pages()


def test_wrong_calls_get_clear_errors():
    with Service() as s:
        for method, parameters, error in (
                ("Show", {"page": "20991231T235959-zzzzzz"}, "io.pageferry.NoSuchPage"),
                ("List", {"limit": "many"}, "org.varlink.service.InvalidParameter"),
                ("List", {"nonsense": 1}, "org.varlink.service.InvalidParameter"),
                ("Monitor", {}, "org.varlink.service.ExpectedMore"),
                ("Nothing", {}, "org.varlink.service.MethodNotFound")):
            try:
                s.call(method, **parameters)
                raise AssertionError("%s %s was accepted" % (method, parameters))
            except VarlinkError as e:
                assert e.name == error, (e.name, error)
        try:
            s.submit(sample("receipt-1"), "no-such-type")
            raise AssertionError("an unknown type was accepted")
        except VarlinkError as e:
            assert e.name == "io.pageferry.NoSuchType", e.name


def test_helper_killed_mid_page():
    """The capture helper dies before it has said the end: nothing is accepted, nothing stays in tmp/, the next page is fine."""
    with Service(fault=True) as s:
        s.stop()
        s.start({"PAGEFERRY_FAULT": "kill:helper.halfway"})
        assert s.submit(sample("receipt-1")) == []
        assert s.pages() == {} and os.listdir(s.spool + "/tmp") == []
        s.stop()
        s.start()
        ids = s.submit(sample("receipt-1"))
        s.wait_states(ids, {"done"})


def test_helpers_behind_sockets():
    """As in production: each helper is started by its socket, one run a connection, with systemd's own activation tool."""
    tool, folder = shutil.which("systemd-socket-activate"), "/run/pageferry"
    if not tool:
        raise suite.Skip("systemd-socket-activate (package systemd) is not installed")
    if os.geteuid() != 0 or os.path.exists(folder):
        raise suite.Skip("needs root and a free " + folder)
    os.mkdir(folder)
    activators = []
    try:
        with Service({"Service": {"SocketHelpers": "yes"}}) as s:
            for name in ("capture", "ocr"):
                activators.append(subprocess.Popen([tool, "--accept", "--inetd", "-l", folder + "/" + name, s.build + "/pageferry-" + name],
                                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
                activators[-1].stderr.readline()  # "Listening on ...": only then is there a socket
            ids = s.submit(sample("receipt-1"))
            s.wait_states(ids, {"done"})
            assert s.rows("SELECT tries FROM pages") == [{"tries": 0}]
    finally:
        for a in activators:
            a.terminate()
            a.wait()
            a.stderr.close()
        shutil.rmtree(folder)


def test_scan_source_replay():
    with Service({"Capture": {"Source": "replay:" + os.path.dirname(sample("x")), "Type": "auto"}}) as s:
        ids = s.call("Scan")["pages"]
        assert len(ids) == 14, ids
        rows = s.rows("SELECT name, bytes, max(width, height) AS side FROM pages ORDER BY seq")
        assert [r["name"] for r in rows] == sorted(r["name"] for r in rows)
        assert all(r["side"] == 2048 for r in rows), rows


def test_a_file_moves_no_light():
    """The lights speak of the page on the glass; a file that is taken meanwhile must not light "safe" for it."""
    with Service({"Capture": {"Source": "replay:" + sample("receipt-2")}}) as s:
        before = s.call("Status")["lights"]
        assert before["safe"] == "off", before
        s.wait_states(s.submit(sample("receipt-1")), {"done"})
        s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
        assert s.call("Status")["lights"]["safe"] == "off", s.call("Status")["lights"]
        s.wait_states(s.call("Scan")["pages"], {"done"})
        s.wait(lambda: s.call("Status")["lights"] == {"captured": "on", "safe": "on", "delivered": "on"})


def test_stop_is_clean_and_quick():
    with Service() as s:
        ids = s.submit(sample("statement-1"))
        s.process.send_signal(signal.SIGTERM)
        assert s.process.wait(30) == 0
        s.start()
        s.wait_states(ids, {"done"})


suite.main()
