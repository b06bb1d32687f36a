#!/usr/bin/python3
"""The installed units under a live systemd of Debian 13 on arm64: readiness, watchdog, journal, sandboxes, rights, restarts; and a clock that is set."""
import hashlib
import json
import os
import sys
import tempfile
import time

import suite
from machine import Machine, ROOT
from standin_aws import BedrockStandin

SAMPLES = {"/test/%s.jpg" % name: os.path.join(ROOT, "tests/samples/pages/%s.jpg" % file) for name, file in (
    ("invoice", "invoice-1"), ("receipt", "receipt-1"), ("receipt2", "receipt-2"), ("statement", "statement-1"))}
# Says in the journal what the sandbox of a helper lets it see and do; in place of the helper.
PROBE = rb"""
try() { if bash -c "$2" >/dev/null 2>&1; then echo "can $1" >&2; else echo "cannot $1" >&2; fi; }
echo "is $(id -un) $(id -gn)" >&2
try spool 'ls /var/lib/pageferry/'
try config 'ls /etc/pageferry/'
try camera 'head -c 0 /dev/video0'
try disk 'head -c 1 /dev/vda'
try write-usr 'touch /usr/x'
try write-tmp 'touch /tmp/x'
try network 'exec 3<>/dev/udp/127.0.0.1/9'
try others 'ls /proc/1/'
echo "probe over" >&2
"""
# A connection of the service's, through a port of its own to the stand-in for Bedrock.
TUNNEL = rb"""#!/bin/bash
mkdir -p /run/tunnels
for port in /dev/virtio-ports/tunnel.*; do mkdir "/run/tunnels/${port##*/}" 2>/dev/null && break; done
exec 3<>"$port"
cat <&3 &
exec cat >&3
"""
YEAR_S = 365 * 86400
machine = aws = None


def show(*properties, unit="pageferry.service"):
    lines = machine.run("systemctl show %s %s" % (" ".join("-p " + p for p in properties), unit)).splitlines()
    return dict(line.split("=", 1) for line in lines)


def pages():
    """{id: state}"""
    return {line.split()[0]: line.split()[1] for line in machine.run("pageferryctl list").splitlines()[1:]}


def as_user(name, command):
    """Exit status of what a user of the machine does, and its output."""
    return machine.attempt("setpriv --reuid %s --regid %s --init-groups %s" % (name, name, command))


def drop_in(unit, text):
    machine.run("mkdir -p /run/systemd/system/%s.d && cat >/run/systemd/system/%s.d/test.conf <<'END'\n%s\nEND\nsystemctl daemon-reload" % (unit, unit, text))


def no_drop_in(unit):
    machine.run("rm -r /run/systemd/system/%s.d && systemctl daemon-reload" % unit)


def test_it_starts_and_says_that_it_is_ready():
    machine.run("systemctl start pageferry.service", 300)
    state = show("Type", "ActiveState", "SubState", "StatusText", "WatchdogUSec", "User", "NRestarts")
    assert state["Type"] == "notify" and (state["ActiveState"], state["SubState"]) == ("active", "running"), state
    assert state["WatchdogUSec"] == "1min" and state["NRestarts"] == "0" and state["User"] == "pageferry", state
    machine.wait("systemctl show -P StatusText pageferry.service | grep -x '0 pages waiting, 0 held'")
    assert "listening" in machine.run("systemctl is-active pageferry-capture.socket pageferry-ocr.socket; systemctl list-sockets --no-legend"
                                      " | grep -c /run/pageferry/ && echo listening")


def test_it_complains_of_nothing():
    assert machine.run("journalctl -b -p warning -o cat -u pageferry.service") == ""


def test_a_page_goes_all_the_way():
    machine.run("cp /test/invoice.jpg /tmp/page.jpg && pageferryctl extract --type invoice /tmp/page.jpg >/tmp/out", 600)
    (page, state), = pages().items()
    assert state == "done", state
    result = json.loads(machine.run("cat /var/lib/pageferry/results/%s.json" % page))
    assert result["page"] == page, result
    owner = machine.run("stat -c '%%U:%%G %%a' /var/lib/pageferry/pages/%s.jpg" % page).strip()
    assert owner == "pageferry:pageferry 640", owner


def test_the_journal_has_fields():
    entries = [json.loads(line) for line in machine.run("journalctl -b -o json -u pageferry.service").splitlines()]
    accepted = [e for e in entries if "accepted" in e["MESSAGE"] and "PAGE_ID" in e]
    assert accepted and accepted[0]["PAGE_ID"] in accepted[0]["MESSAGE"] and len(accepted[0]["MESSAGE_ID"]) == 32, entries
    assert any(e.get("BACKEND") == "ocr" and e.get("PAGE_ID") == accepted[0]["PAGE_ID"] for e in entries), entries


def test_helpers_run_as_units_of_their_own():
    units = machine.run("journalctl -b -o json --output-fields=_SYSTEMD_UNIT,UNIT,JOB_RESULT -u 'pageferry-capture@*' -u 'pageferry-ocr@*'")
    seen = {json.loads(line).get("UNIT", "").split("@")[0] for line in units.splitlines()}
    assert {"pageferry-capture", "pageferry-ocr"} <= seen, units
    # Nothing of them is left, neither running nor failed.
    machine.wait("test -z \"$(systemctl list-units --all --no-legend 'pageferry-*@*')\"")


def probe(unit):
    """What the sandbox of a helper's unit allows."""
    drop_in(unit + "@.service", "[Service]\nExecStart=\nExecStart=/bin/bash /test/probe")
    try:
        machine.attempt("pageferryctl scan" if "capture" in unit else "pageferryctl extract /test/invoice.jpg", 30)
        machine.wait("journalctl -b -o cat -u '%s@*' | grep 'probe over'" % unit)
        lines = machine.run("journalctl -b -o cat -u '%s@*' | grep -E '^(is|can|cannot) '" % unit).splitlines()
    finally:
        no_drop_in(unit + "@.service")
    return set(lines)


def test_the_sandbox_of_the_capture_helper():
    machine.run("modprobe vivid n_devs=1 node_types=0x1 && udevadm settle")
    try:
        seen = probe("pageferry-capture")
    finally:
        machine.run("modprobe -r vivid")
    assert seen >= {"is pageferry-capture video", "cannot spool", "cannot config", "can camera", "cannot disk", "cannot write-usr", "can write-tmp",
                    "cannot network", "cannot others"}, seen


def test_the_sandbox_of_the_ocr_helper():
    machine.run("modprobe vivid n_devs=1 node_types=0x1 && udevadm settle")
    try:
        seen = probe("pageferry-ocr")
    finally:
        machine.run("modprobe -r vivid")
    assert seen >= {"is pageferry-ocr pageferry-ocr", "cannot spool", "cannot config", "cannot camera", "cannot disk", "cannot write-usr", "can write-tmp",
                    "cannot network", "cannot others"}, seen


def test_rights_are_by_group():
    machine.run("useradd -M -G pageferry member && useradd -M -G pageferry,pageferry-admin manager && useradd -M stranger")
    assert machine.run("stat -c '%U:%G %a' /run/pageferry/control").strip() == "pageferry:pageferry 660"
    page = next(iter(pages()))
    for user, looks, drops in (("member", 0, 4), ("stranger", 4, 4), ("manager", 0, 0)):
        code, output = as_user(user, "pageferryctl status")
        assert code == looks, (user, code, output)
        code, output = as_user(user, "pageferryctl drop %s --yes --why test" % page)
        assert code == drops, (user, code, output)


def test_a_restart_keeps_what_it_had():
    machine.run("pageferryctl extract --no-wait /test/invoice.jpg")
    before = set(pages())
    pid = show("MainPID")["MainPID"]
    machine.run("systemctl restart pageferry.service", 300)
    assert before and set(pages()) == before
    assert show("MainPID")["MainPID"] != pid


def test_it_is_started_again_when_it_is_killed():
    restarts = int(show("NRestarts")["NRestarts"])
    machine.run("systemctl kill --signal=KILL --kill-whom=main pageferry.service")
    machine.wait("test $(systemctl show -P NRestarts pageferry.service) -gt %d && pageferryctl status" % restarts, 300)


def test_the_watchdog_ends_a_service_that_hangs():
    drop_in("pageferry.service", "[Service]\nWatchdogSec=4s\nTimeoutAbortSec=1s")
    try:
        machine.run("systemctl restart pageferry.service", 300)
        restarts = int(show("NRestarts")["NRestarts"])
        pid = show("MainPID")["MainPID"]
        machine.run("kill -STOP %s" % pid)
        machine.wait("test $(systemctl show -P NRestarts pageferry.service) -gt %d && pageferryctl status" % restarts, 300)
        assert "Watchdog timeout" in machine.run("journalctl -b -o cat -u pageferry.service")
    finally:
        no_drop_in("pageferry.service")
    machine.run("systemctl restart pageferry.service", 300)


def test_a_stop_is_clean():
    machine.run("systemctl stop pageferry.service", 300)
    state = show("ActiveState", "Result", "ExecMainStatus")
    assert state == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}, state
    code, output = as_user("pageferry", "/usr/libexec/pageferry/pageferryd spool fsck --deep --directory /var/lib/pageferry")
    assert code == 0, output
    machine.run("systemctl start pageferry.service", 300)


# ---- the clock ----------------------------------------------------------------------------------------------------------

def set_clock(seconds):
    machine.run("date -s @%d" % seconds)


def clock():
    return json.loads(machine.run("pageferryctl status --json"))["clock"]


def hand_in(*names):
    """Their pages, in this order."""
    return [machine.run("pageferryctl extract --no-wait --type receipt /test/%s.jpg" % name).split()[0] for name in names]


def sent_pages():
    """Hashes of what was sent, in order; all of it was taken: the stand-in looks at the time of the signatures, too."""
    assert all(r["status"] == 200 for r in aws.requests), aws.requests
    return [r["page"] for r in aws.requests]


def hashes(ids):
    return [hashlib.sha256(machine.read("/var/lib/pageferry/pages/%s.jpg" % i)).hexdigest() for i in ids]


def was_told():
    """How often the service, as it runs, was told that the clock was set."""
    return machine.run("journalctl -b -o cat _PID=%s" % show("MainPID")["MainPID"]).splitlines().count("the clock was set")


def wait_done(ids):
    machine.wait("! pageferryctl list | grep -E '%s' | grep -v ' done '" % "|".join(ids), 300)


def test_it_knows_whether_the_clock_is_synchronised():
    """As a time service tells the kernel. Whoever sets the clock says that it is not."""
    assert clock() == "plausible"
    machine.run("/test/synchronised")
    assert clock() == "trusted"
    set_clock(time.time())
    assert clock() == "plausible"


def test_pages_wait_for_the_clock_and_go_when_it_is_set():
    """A boot without a battery, and time that comes with the network."""
    machine.wait("systemctl show -P StatusText pageferry.service | grep -x '0 pages waiting, 0 held'", 300)
    before = pages()
    machine.run("systemctl stop pageferry.service && mkdir -p /etc/pageferry/pageferry.conf.d && cp /test/clock.conf /etc/pageferry/pageferry.conf.d/"
                " && install -o pageferry -m 600 /test/keys /etc/pageferry/keys && systemd-run -q --unit tunnel busybox nc -ll -p 8443 -e /test/tunnel", 300)
    set_clock(86400)
    machine.run("systemctl start pageferry.service", 300)
    ids = hand_in("receipt", "invoice", "receipt2")
    machine.wait("pageferryctl status | grep 'sydney: the clock is known to be wrong'")
    assert clock() == "untrusted" and aws.requests == [] and pages() == dict(before, **{i: "queued" for i in ids})
    pid = show("MainPID")
    set_clock(time.time())
    wait_done(ids)
    assert show("MainPID") == pid and was_told() == 1 and sent_pages() == hashes(ids), (aws.requests, ids)
    assert pages() == dict(before, **{i: "done" for i in ids})


def test_years_ahead_nothing_ages_and_pages_wait():
    """A time service that is wrong by years: no certificate is valid any more. A page waits until the clock is right, the others stay."""
    before, sent = pages(), sent_pages()
    machine.run("systemctl stop pageferry.service", 300)
    set_clock(time.time() + 5 * YEAR_S)
    machine.run("/test/synchronised && systemctl start pageferry.service", 300)
    assert clock() == "trusted"
    ids = hand_in("statement")
    machine.wait("pageferryctl status | grep 'sydney: .*certificate'")
    assert sent_pages() == sent and pages() == dict(before, **{ids[0]: "queued"})
    pid = show("MainPID")
    set_clock(time.time())
    wait_done(ids)
    assert show("MainPID") == pid and was_told() == 1 and sent_pages() == sent + hashes(ids), (aws.requests, ids)
    machine.run("systemctl restart pageferry.service", 300)
    assert pages() == dict(before, **{ids[0]: "done"}) and len(hashes(pages())) == len(before) + 1


def lab():
    """What of the stand-in goes into the machine."""
    def read(path):
        with open(path, "rb") as f:
            return f.read()
    keys = "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n" % (aws.credentials.access_key, aws.credentials.secret_key)
    # What waits for the next try would wait for long: the clock wakes it.
    config = ("[Service]\nLab=yes\n[Route]\nBackends=sydney\n[Credentials aws]\nSource=file\nFile=/etc/pageferry/keys\n"
              "[Backend sydney]\nKind=bedrock\nModel=amazon.nova-pro-v1:0\nConnectTo=127.0.0.1:8443\nCAFile=/test/ca.pem\nBackoff=10min\nBackoffMax=1h\n")
    files = {"/test/probe": PROBE, "/test/tunnel": TUNNEL, "/test/clock.conf": config.encode(), "/test/keys": keys.encode(), "/test/ca.pem": read(aws.ca_file),
             "/test/synchronised": read(os.path.join(os.environ["PAGEFERRY_BUILD"], "vm/synchronised"))}
    files.update({name: read(path) for name, path in SAMPLES.items()})
    return files


def main():
    global machine, aws
    with tempfile.TemporaryDirectory(prefix="pageferry-vm-", dir="/tmp") as folder, BedrockStandin(folder) as aws:
        try:
            machine = Machine(lab(), aws.port)
        except suite.Skip as s:
            print("skip the service under a live systemd: %s" % s)
            sys.exit(0)
        with machine:
            machine.run("chmod +x /test/tunnel /test/synchronised")
            suite.main()


if __name__ == "__main__":
    main()
