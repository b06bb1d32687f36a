#!/usr/bin/python3
"""What a person does with many pages at once: hold, release, retry and drop, with the right and without, over a restart."""
import grp
import json
import os
import shutil
import pty
import subprocess
import tempfile

from PIL import Image

import suite
from service import Service, sample
from standin_aws import BedrockStandin, write_keys
from varlink import VarlinkError

MANY = 300


def ctl(s, *args, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    program = more.pop("program", os.path.join(s.build, "pageferryctl"))
    return subprocess.run([program, "--socket", s.socket, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", timeout=120, check=False, **more)


def done(s, *args):
    r = ctl(s, *args)
    assert r.returncode == 0, (args, r)
    return r.stdout


def counts(s):
    return s.call("Status")["counts"]


def sections(folder, aws, source):
    secrets = write_keys(folder, aws.credentials)
    return {"Service": {"Lab": "yes", "GroupLook": grp.getgrgid(100).gr_name}, "Route": {"Backends": "sydney"}, "Capture": {"Source": "replay:" + source},
            "Credentials aws": {"Source": "file", "File": secrets},
            "Backend sydney": {"Kind": "bedrock", "Model": "amazon.nova-pro-v1:0", "ConnectTo": "127.0.0.1:%d" % aws.port, "CAFile": aws.ca_file,
                               "Concurrency": "1", "Backoff": "100ms", "BackoffMax": "400ms", "Timeout": "60s"}}


def small_pages(folder, n):
    os.mkdir(folder)
    for i in range(n):
        Image.new("L", (200, 150 + i % 3), 200).save(os.path.join(folder, "p%04d.jpg" % i))
    return folder


def answered_by_terminal(s, text, *args):
    """pageferryctl with a terminal as its standard input, on which `text` is typed; the exit code and what it said."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, text.encode())
        r = ctl(s, *args, stdin=theirs)
        return r.returncode, r.stdout + r.stderr
    finally:
        os.close(ours)
        os.close(theirs)


def check_hold(s, flying):
    """A page that is out cannot be dropped, and everything can be held."""
    r = ctl(s, "drop", flying, "--why", "blank", "--yes")
    assert r.returncode == 1 and "0 pages dropped" in r.stdout and "a request for it is out" in r.stdout, r
    assert done(s, "hold", "--all", "--why", "new key").startswith("%d pages held" % MANY)
    assert counts(s)["held"] == MANY and counts(s)["queued"] == 0
    page = s.call("Show", page=flying)["page"]
    assert page["state"] == "held" and page["reason"] == "by hand: new key (uid %d)" % os.getuid(), page
    assert ctl(s, "hold", flying).returncode == 1  # it is held already


def check_release(s, ids):
    """By name, in more than one call; and by filter."""
    assert done(s, "release", *ids[:280]).startswith("280 pages released")
    assert counts(s)["queued"] == 280
    assert done(s, "hold", "--source", "scan", "--state", "queued", "--json").count("\n") == 1
    listed = [json.loads(line) for line in done(s, "list", "--state", "held", "--reason", "by hand: no reason", "--limit", "1000", "--json").splitlines()]
    assert [p["id"] for p in listed] == list(reversed(ids[:280])), len(listed)
    table = done(s, "list", "--state", "held", "--limit", "250").splitlines()
    assert len(table) == 251 and "by hand: " in table[1] and "US$0" in table[1], table[:2]
    assert "280 pages to be tried again" in done(s, "retry", "--reason", "by hand: no reason")
    done(s, "hold", "--all")
    assert counts(s)["held"] == MANY


def check_drop(s, ids):
    """Only with an answer, or --yes; and what was dropped is remembered."""
    r = ctl(s, "drop", ids[0], "--why", "blank")
    assert r.returncode == 2 and "--yes" in r.stderr, r
    code, said = answered_by_terminal(s, "n\n", "drop", ids[0], ids[1], ids[2], "--why", "blank")
    assert code == 1 and "Drop 3 pages for good?" in said and "nothing was dropped" in said, said
    assert counts(s)["held"] == MANY
    code, said = answered_by_terminal(s, "y\n", "drop", ids[0], ids[1], ids[2], "--why", "blank")
    assert code == 0 and "3 pages dropped" in said, said
    code, said = answered_by_terminal(s, "yes\n", "drop", "--state", "held", "--since", "2001-01-01", "--source", "scan", "--type", "auto",
                                      "--lane", "now", "--until", "2999-01-01", "--why", "blank sheets")
    assert code == 0 and "Drop %d pages for good?" % (MANY - 4) in said, said
    assert len(s.pages()) == 1, s.pages()
    r = ctl(s, "show", ids[0])
    assert r.returncode == 1 and "the page is no longer there, it was dropped by uid %d: blank (" % os.getuid() in r.stderr, r
    assert ids[0] not in " ".join(os.listdir(s.spool + "/pages"))
    try:
        s.call("Show", page=ids[5])
        raise AssertionError("a dropped page is shown")
    except VarlinkError as e:
        assert e.name == "io.pageferry.Gone" and e.parameters["reason"].endswith(": blank sheets") and e.parameters["page"] == ids[5], e


def test_three_hundred_pages():
    with tempfile.TemporaryDirectory(prefix="pageferry-verbs-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        aws.default = "slow"
        source = small_pages(folder + "/pages", MANY - 1)
        with Service(sections(folder, aws, source)) as s:
            flying = s.submit(sample("receipt-2"), "receipt")[0]
            assert aws.wait_requests(1)
            ids = s.call("Scan")["pages"]
            assert len(ids) == MANY - 1
            check_hold(s, flying)
            s.stop()
            s.start()
            # The request that was out is settled, and its page is held as a person wanted; nothing is sent.
            assert counts(s)["held"] == MANY and s.rows("SELECT outcome FROM attempts") == [{"outcome": "untouched"}]
            assert len(aws.requests) == 1
            aws.default = "ok"
            aws.stop()  # what is queued now waits
            check_release(s, ids)
            check_drop(s, ids)
            aws.start()
            done(s, "release", flying)
            s.wait_states([flying], {"done"})
            # What was dropped has left nothing behind, and the database says the same as the disk.
            assert os.listdir(s.spool + "/pages") == [flying + ".jpg"]
            assert s.rows("SELECT count(*) AS n FROM gone") == [{"n": MANY - 1}]
            assert s.stop() == 0
            assert s.fsck() == []


def test_held_while_out_keeps_its_answer():
    """The answer to a request that was out when its page was held is recorded: nothing that was paid for is lost."""
    with tempfile.TemporaryDirectory(prefix="pageferry-verbs-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        aws.script = ["delay"]
        with Service(sections(folder, aws, sample("receipt-2"))) as s:
            page = s.submit(sample("receipt-2"), "receipt")[0]
            assert aws.delayed.wait(60)
            done(s, "hold", page, "--why", "stop")
            assert s.call("Show", page=page)["page"]["state"] == "held"
            aws.release.set()
            s.wait_states([page], {"done"})
            shown = s.call("Show", page=page)
            assert len(shown["results"]) == 1 and int(shown["page"]["costPicoUsd"]) > 0, shown


def test_a_page_that_no_backend_accepts():
    """After a bounded number of paid tries it is held, with the reason and what it has cost wherever it is shown; the next page flows."""
    with tempfile.TemporaryDirectory(prefix="pageferry-verbs-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        aws.default = "truncated"
        config = sections(folder, aws, sample("receipt-2"))
        config["Backend sydney"]["Tries"] = "3"
        with Service(config) as s:
            r = ctl(s, "extract", "--type", "receipt", sample("receipt-2"))
            assert r.returncode == 1 and "held: " in r.stdout and "(US$0." in r.stdout, r
            bad = list(s.pages().values())[0]
            assert bad["state"] == "held" and bad["reason"] and int(bad["costPicoUsd"]) > 0, bad
            billed = [a["billed"] for a in s.rows("SELECT billed FROM attempts")]
            assert 1 <= len(billed) <= 3 and set(billed) == {"yes"} and len(aws.requests) == len(billed), (billed, aws.requests)
            aws.default = "ok"
            line = done(s, "list", "--state", "held").splitlines()[1]
            assert bad["reason"][:20] in line and "US$0." in line, line
            shown = done(s, "show", bad["id"])
            assert bad["reason"] in shown and "cost      US$0." in shown, shown
            assert ctl(s, "extract", "--type", "receipt", sample("receipt-1")).returncode == 0


def test_extract_ends_when_its_page_is_dropped():
    with tempfile.TemporaryDirectory(prefix="pageferry-verbs-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        aws.stop()
        with Service(sections(folder, aws, sample("receipt-2"))) as s:
            waiting = subprocess.Popen([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "extract", sample("receipt-2")],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
            try:
                s.wait(s.pages)
                assert "1 page held" in done(s, "hold", "--all")  # it is over for extract: held
                out, err = waiting.communicate(timeout=60)
                assert waiting.returncode == 1 and "held: by hand: no reason given" in out, (out, err)
            finally:
                waiting.kill()
                waiting.wait()
            waiting = subprocess.Popen([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "extract", sample("receipt-1")],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
            try:
                s.wait(lambda: len(s.pages()) == 2)
                s.wait(lambda: not s.rows("SELECT id FROM attempts WHERE closed_ms IS NULL"))
                s.wait(lambda: ctl(s, "drop", "--state", "queued", "--why", "wrong pile", "--yes").returncode == 0 and len(s.pages()) == 1)
                out, err = waiting.communicate(timeout=60)
                assert waiting.returncode == 1 and "dropped" in err, (out, err)
            finally:
                waiting.kill()
                waiting.wait()


def test_rights():
    """A member of the group holds and releases; only who manages drops and confirms."""
    if os.geteuid() != 0:
        raise suite.Skip("needs root, to be somebody else")
    with tempfile.TemporaryDirectory(prefix="pageferry-verbs-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        aws.stop()
        with Service(sections(folder, aws, sample("receipt-2"))) as s:
            os.chmod(s.folder, 0o755)
            page = s.submit(sample("receipt-2"))[0]
            os.chmod(folder, 0o755)
            # The build may lie where only its owner may look.
            member = {"user": 65534, "group": 100, "extra_groups": [], "program": shutil.copy(os.path.join(s.build, "pageferryctl"), folder)}
            for verb in (["drop", page, "--why", "x", "--yes"], ["confirm"]):
                r = ctl(s, *verb, **member)
                assert r.returncode == 4 and "manage" in r.stderr, r
            assert "1 page held" in ctl(s, "hold", page, **member).stdout
            assert s.call("Show", page=page)["page"]["reason"] == "by hand: no reason given (uid 65534)"
            assert "1 page released" in ctl(s, "release", page, **member).stdout
            assert "nothing was waiting" in done(s, "confirm")
            assert "1 page dropped" in done(s, "drop", page, "--why", "x", "--yes")
            assert s.pages() == {}


def test_retry_gives_todays_route():
    """A backend leaves the configuration: its pages are held, and a retry sends them where pages go now."""
    with tempfile.TemporaryDirectory(prefix="pageferry-verbs-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        aws.stop()
        with Service(sections(folder, aws, sample("receipt-2"))) as s:
            page = s.submit(sample("receipt-2"), "receipt")[0]
            s.stop()
            s.configure({})
            s.start()
            held = s.wait_states([page], {"held"})[page]
            assert held["reason"].startswith("no-backend:"), held
            assert "1 page to be tried again" in done(s, "retry", "--reason", "no-backend:")
            s.wait_states([page], {"done"})
            shown = s.call("Show", page=page)
            assert shown["page"]["backend"] == "ocr" and shown["page"]["type"] == "receipt", shown["page"]


suite.main()
