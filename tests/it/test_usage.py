#!/usr/bin/python3
"""pageferryctl usage: what requests used, by day, model and type; on a terminal, in a pipe, for programs."""
import csv
import fcntl
import grp
import io
import json
import os
import pty
import re
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import termios

import suite
from service import Service, sample
from standin_aws import BedrockStandin, write_keys
from varlink import VarlinkError

DAY0 = 19000  # 2022-01-08
DOLLAR = 10**12
COLUMNS = "day, backend, model, type, attempts, answers, unreported, pages, reused, tokens_input, tokens_output, tokens_cached, settled_pusd, possibly_pusd"


def ctl(s, *args, env=None):
    r = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "usage", *args], stdin=subprocess.DEVNULL, capture_output=True,
                       encoding="utf-8", timeout=60, check=False, env=dict(os.environ, LC_ALL="C.UTF-8", **(env or {})))
    assert r.returncode == 0 or not r.stdout, r
    return r


def on_terminal(s, columns, *args, **env):
    """What it writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    p = subprocess.Popen([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "usage", *args], stdin=subprocess.DEVNULL, stdout=theirs,
                         stderr=subprocess.STDOUT, env=dict({k: v for k, v in os.environ.items() if k != "NO_COLOR"}, TERM="xterm", LC_ALL="C.UTF-8", **env))
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        said += piece
    os.close(ours)
    assert p.wait(60) == 0, said
    return said.decode().replace("\r\n", "\n")


def fill(s, rows):
    """Into the table of a stopped service."""
    db = sqlite3.connect(s.spool + "/spool.db")
    with db:
        db.executemany("INSERT INTO usage (%s) VALUES (%s)" % (COLUMNS, ", ".join("?" * 14)), rows)
    db.close()


def row(day, backend="sydney", model="amazon.nova-pro-v1:0", kind="receipt", requests=3, pusd=5 * 10**9, possibly=0):
    return (day, backend, model, kind, requests, requests, int(possibly > 0), requests, 1, 1000 * requests, 90 * requests, 7, pusd, possibly)


def local(rows):
    s = Service({"Route": {"Backends": "ocr"}})
    s.start()
    assert s.stop() == 0
    fill(s, rows)
    return s


def objects(r):
    assert r.returncode == 0, r
    return [json.loads(line) for line in r.stdout.splitlines()]


def test_every_row_comes_once():
    """More rows than one reply has, in the order of the days; names with blanks and none at all."""
    rows = [row(DAY0 + i // 3, model=("", "a model of mine", "amazon.nova-pro-v1:0")[i % 3], kind=("receipt", "")[i // 3 % 2], pusd=i) for i in range(1203)]
    with local(rows) as s:
        said = objects(ctl(s, "--json", "--since", "2022-01-01"))
        assert [int(o["costPicoUsd"]) for o in said] == sorted(r[12] for r in rows) and len(said) == 1203, len(said)
        assert said[0]["day"] == "2022-01-08" and "model" not in said[0] and said[1]["model"] == "a model of mine" and "type" not in said[3], said[:4]
        part = objects(ctl(s, "--json", "--since", "2022-01-10", "--until", "2022-01-12"))
        assert {o["day"] for o in part} == {"2022-01-10", "2022-01-11"} and len(part) == 6, part
        assert objects(ctl(s, "--json")) == []  # long ago
        assert "no request has ended since 20" in ctl(s).stdout
        by = {o["model"]: o for o in objects(ctl(s, "--json", "--by", "model", "--since", "2022-01-01"))}
        assert {k: int(v["costPicoUsd"]) for k, v in by.items()} == {m or None: sum(r[12] for r in rows if r[2] == m) for m in {r[2] for r in rows}}, by
        months = objects(ctl(s, "--json", "--by", "month", "--since", "2022-01-01"))
        assert [m["month"] for m in months][:2] == ["2022-01", "2022-02"] and sum(m["requests"] for m in months) == 2406, months


def test_csv_has_exact_dollars():
    with local([row(DAY0, model="=cmd()", pusd=12 * DOLLAR + 1), row(DAY0 + 1, pusd=2100 * 10**6)]) as s:
        text = ctl(s, "--csv", "--since", "2022-01-01").stdout
        lines = list(csv.DictReader(io.StringIO(text)))
        assert [x["cost_usd"] for x in lines] == ["12.000000000001", "0.0021"] and lines[0]["model"] == "'=cmd()", text
        assert lines[0]["possibly_billed_usd"] == "0.00" and lines[1]["tokens_input"] == "3000" and lines[1]["requests"] == "2" and lines[1]["reused"] == "1", lines
        by = list(csv.DictReader(io.StringIO(ctl(s, "--csv", "--by", "type", "--since", "2022-01-01").stdout)))
        assert len(by) == 1 and by[0]["type"] == "receipt" and by[0]["cost_usd"] == "12.002100000001", by


def test_what_is_not_understood():
    with local([]) as s:
        for wrong in (["--since", "yesterday"], ["--since", "2022-13-01"], ["--until", "2022-01-01T00:00:00Z"], ["--by", "colour"], ["x"],
                      ["--csv", "--json"], ["--limit", "3"]):
            assert ctl(s, *wrong).returncode == 2, wrong
        for wrong in ({"since": "2022-1-1"}, {"until": ""}, {"cursor": "2022-01-01"}, {"cursor": "2022-01-01 a"}, {"cursor": "2022-01-01 %s  " % ("a" * 50)}):
            try:
                s.call("Usage", **wrong)
                raise AssertionError(wrong)
            except VarlinkError as e:
                assert e.name == "org.varlink.service.InvalidParameter", e


def plain(text):
    return re.sub("\033\\[[0-9]*m", "", text)


def test_a_chart_on_a_terminal():
    """Bars as long as the cost, days without any between; never wider than the terminal."""
    rows = [row(DAY0, pusd=4 * DOLLAR), row(DAY0 + 2, pusd=2 * DOLLAR), row(DAY0 + 3, pusd=1), row(DAY0 + 300, pusd=DOLLAR)]
    with local(rows) as s:
        for columns in (40, 70, 80, 100, 250):
            said = on_terminal(s, columns, "--since", "2022-01-01")
            lines = plain(said).splitlines()
            bars = {line[:10]: line.count("\u2588") for line in lines}
            assert [line[:10].strip() for line in lines] == ["day", "2022-01-08", "2022-01-09", "2022-01-10", "2022-01-11", "2022-11-04", "total"], said
            assert max(len(line) for line in lines) <= columns, (columns, said)
            assert all("US$" in line or line[:10] == "2022-01-09" for line in lines[1:]), said
            if columns >= 80:
                width = bars["2022-01-08"]
                assert 6 <= width <= 40 and bars["2022-01-09"] == 0 and abs(bars["2022-01-10"] - width / 2) <= 1, (columns, said)
                assert lines[4].endswith("\u258f") and "\u2588" not in lines[6], said  # one eighth: it is not nothing
            assert "\033[" in said
        assert "US$4.00" in lines[1] and "US$0.000000000001" in lines[4] and "US$7.000000000001" in lines[6], said
        assert "\033" not in on_terminal(s, 100, "--since", "2022-01-01", NO_COLOR="1")
        ascii_said = on_terminal(s, 100, "--since", "2022-01-01", "--ascii")
        assert ascii_said.isascii() and "####" in ascii_said, ascii_said
        piped = ctl(s, "--since", "2022-01-01").stdout
        assert "\u2588" not in piped and "\033" not in piped and "US$4.00" in piped, piped
        assert plain(on_terminal(s, 100, "--since", "2022-01-01", "--by", "backend")).splitlines()[1].startswith("sydney")


HAIKU, SONNET = "au.anthropic.claude-haiku-4-5-20251001-v1:0", "au.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = "arn:aws:bedrock:ap-southeast-2:123456789012:application-inference-profile/abc123def456"


def test_a_narrow_terminal():
    """The bars go first, then the middle of names, then counts: each line fits, and what it cost is there."""
    rows = [row(DAY0, model=HAIKU, pusd=4 * DOLLAR + 25 * 10**7), row(DAY0, model=SONNET, pusd=2 * DOLLAR), row(DAY0, model=PROFILE, pusd=DOLLAR), row(DAY0, model="\u6a21" * 40)]
    with local(rows) as s:
        titles = {}
        for columns in (46, 60, 72, 80, 110, 160):
            lines = plain(on_terminal(s, columns, "--since", "2022-01-01", "--by", "model")).splitlines()
            wide = [len(line) + line.count("\u6a21") for line in lines]
            assert max(wide) <= columns and all("US$" in line for line in lines[1:]) and len(lines) == 6, (columns, lines)
            titles[columns] = lines[0].split()
            names = [line.split()[0] for line in lines[1:5]]
            assert names[0] == HAIKU or (names[0].startswith("au.anthrop") and names[0].endswith("1-v1:0") and "\u2026" in names[0]), names
            assert names[2].startswith("arn:aws:b") and names[2].endswith("23def456") and "\u2026" in names[2], names  # its end is what tells it from others
            assert any("\u2588" in line for line in lines) == (columns == 160), (columns, lines)
        assert titles[160] == ["model", "pages", "reused", "requests", "tokens", "in", "out", "cached", "cost"], titles
        assert titles[80] == ["model", "pages", "reused", "requests", "tokens", "in", "out", "cost"], titles
        assert titles[60] == ["model", "pages", "requests", "cost"] and titles[46] == ["model", "pages", "cost"], titles
        said = on_terminal(s, 60, "--since", "2022-01-01", "--by", "model", "--ascii")
        assert said.isascii() and "..." in said and max(len(line) for line in plain(said).splitlines()) <= 60, said
        # A terminal that does not say how wide it is.
        lines = plain(on_terminal(s, 0, "--since", "2022-01-01", "--by", "model", COLUMNS="60")).splitlines()
        assert max(len(line) for line in lines) <= 60 and lines[0].split() == titles[60], lines
        piped = ctl(s, "--since", "2022-01-01", "--by", "model", env={"COLUMNS": "40"}).stdout.splitlines()
        assert piped[0].split() == titles[160] and piped[1].startswith(HAIKU), piped


def sections(folder, aws):
    secrets = write_keys(folder, aws.credentials)
    return {"Service": {"Lab": "yes", "GroupLook": grp.getgrgid(100).gr_name}, "Route": {"Backends": "sydney"},
            "Credentials aws": {"Source": "file", "File": secrets},
            "Backend sydney": {"Kind": "bedrock", "Model": "amazon.nova-pro-v1:0", "ConnectTo": "127.0.0.1:%d" % aws.port, "CAFile": aws.ca_file,
                               "Concurrency": "1", "Backoff": "100ms", "BackoffMax": "400ms", "Timeout": "60s"}}


def test_paid_open_and_possibly_billed():
    """One page is answered; the next is out: it is shown apart; after a kill it counts at its worst case."""
    with tempfile.TemporaryDirectory(prefix="pageferry-usage-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        aws.script = ["ok", "delay"]
        with Service(sections(folder, aws)) as s:
            first = s.submit(sample("receipt-2"), "receipt")[0]
            s.wait_states([first], {"done"})
            paid = s.rows("SELECT settled_pusd, tokens_input FROM attempts")[0]
            second = s.submit(sample("receipt-1"), "receipt")[0]
            assert aws.delayed.wait(60)
            reserved = s.rows("SELECT reserved_pusd AS n FROM attempts WHERE closed_ms IS NULL")[0]["n"]
            ended, open_ = objects(ctl(s, "--json"))
            assert (ended["requests"], ended["pages"], ended["answers"], ended["tokensInput"]) == (1, 1, 1, paid["tokens_input"]), ended
            assert int(ended["costPicoUsd"]) == paid["settled_pusd"] > 0 and ended["type"] == "receipt", ended
            assert open_ == {"backend": "sydney", "model": "amazon.nova-pro-v1:0", "open": 1, "reservedPicoUsd": str(reserved)}, open_
            assert "besides, 1 requests are open; they cost at most US$0." in ctl(s).stdout
            s.kill()
            aws.release.set()
            s.start()
            s.wait_states([second], {"done"})
            (ended,) = objects(ctl(s, "--json"))
            assert (ended["requests"], ended["unreported"], ended["pages"]) == (3, 1, 2), ended
            assert int(ended["possiblyBilledPicoUsd"]) == reserved and int(ended["costPicoUsd"]) > reserved, ended
            assert "of that possibly billed, in 1 requests that no usage came back for: US$0." in ctl(s).stdout


def test_the_same_file_is_paid_for_once():
    """By hand twice, and twice by a watched folder; while the first is out, and after it; a kill between; and again for who wants it."""
    with tempfile.TemporaryDirectory(prefix="pageferry-usage-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        inbox = os.path.join(folder, "in")
        os.mkdir(inbox)
        config = dict(sections(folder, aws), **{"Watch inbox": {"Folder": inbox, "Settle": "20ms", "Type": "receipt"}})
        config["Backend sydney"]["Concurrency"] = "4"
        aws.script = ["delay"]
        with Service(config) as s:
            first = s.submit(sample("receipt-2"), "receipt")[0]
            assert aws.delayed.wait(60)
            ids = [s.submit(sample("receipt-2"), "receipt")[0] for _ in range(2)]
            for name in ("a.jpg", "b.jpg"):
                shutil.copy(sample("receipt-2"), os.path.join(folder, name))
                os.rename(os.path.join(folder, name), os.path.join(inbox, name))
            s.poll = 0.1
            s.wait(lambda: len(s.pages()) == 5)
            other = s.submit(sample("receipt-2"), "invoice")[0]  # another question: it is paid for, but waits as well
            assert len(s.rows("SELECT id FROM attempts")) == 1
            s.kill()
            aws.release.set()
            s.start()
            ids = list(s.pages())
            s.wait_states(ids, {"done"})
            s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
            # The one that was cut off is asked again by one of them; the others take over its answer.
            assert len(aws.requests) == 3, aws.requests
            reused = [s.result(page) for page in ids if "same_as" in s.result(page)]
            assert len(reused) == 4 and other not in [r["page"] for r in reused] and "same_as" not in s.result(other), reused
            paid = {r["same_as"] for r in reused}
            assert len(paid & {first, *ids}) == len(paid) and all(r["cost_pico_usd"] == "0" and r["fields"] for r in reused), reused
            assert all(r["fields"] == reused[0]["fields"] for r in reused)
            shown = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "show", reused[0]["page"]], capture_output=True,
                                   encoding="utf-8", check=True).stdout
            assert "same-content: answered as page %s was" % reused[0]["same_as"] in shown, shown
            assert [o["reused"] for o in objects(ctl(s, "--json", "--by", "type"))] == [4, 0]
            again = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "extract", "--again", "--type", "receipt",
                                    sample("receipt-2")], capture_output=True, encoding="utf-8", check=False)
            assert again.returncode == 0 and len(aws.requests) == 4, (again, aws.requests)
            assert s.stop() == 0
            assert s.fsck() == []


if __name__ == "__main__":
    suite.main()
