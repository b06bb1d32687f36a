"""Sources of credentials for credentialed.Setup: files, a program, a role, a profile; and keys that are others from some request on."""
import json
import os
import re

from botocore.credentials import Credentials

from credentialed import KEYS, Nothing, Setup
from service import sample
from standin_aws import BedrockStandin, Refused
from standin_sts import StsStandin

BASE = ("AKIDBASEEXAMPLE00001", "base/secret+key=")
OTHER = ("ASIAOTHEREXAMPLE0001", "other/secret+key=", "OTHERTOKEN//+=" * 40)
ROLE = "arn:aws:iam::111122223333:role/pages/scanner"


def write(path, text, mode=0o600):
    """Whole or not at all."""
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="ascii") as f:
        f.write(text)
    os.rename(path + ".new", path)


def ini(keys, name="default", more=""):
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return "[%s]\n" % name + "".join("%s = %s\n" % p for p in zip(names, keys)) + more


class Files(Nothing):
    """A source that is files in a folder."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o600):
        write(self.path(name), text, mode)


def file_source(folder):
    files = Files(folder)
    files.write("keys", ini(KEYS))
    return files, {"Source": "file", "File": files.path("keys")}


PROGRAM = """#!/bin/sh
cd "$(dirname "$0")"
echo run >>runs
case $(cat mode) in
good) cat good;;
dies) echo secret-on-stderr >&2; exit 3;;
killed) kill -9 $$;;
hangs) echo '{'; sleep 1000;;
garbage) echo '<html>login</html>';;
much) head -c 1048576 /dev/zero;;
half) head -c 60 good;;
esac
"""


def printed(keys, **more):
    return json.dumps(dict(dict(zip(("AccessKeyId", "SecretAccessKey", "SessionToken"), keys), Version=1), **more))


def program(folder):
    files = Files(folder)
    files.write("prog", PROGRAM, 0o700)
    files.write("good", printed(KEYS))
    files.write("mode", "good")
    return files, {"Source": "process", "Command": files.path("prog") + " --secret=hunter2"}


def role(folder, **more):
    files = Files(folder)
    files.write("base", ini(BASE))
    source = StsStandin(folder, KEYS, {ROLE: {"by": BASE[0], "external": "site/7 a", "gives": KEYS}}, keys=[BASE])
    source.files = files
    return source, {"Credentials base": {"Source": "file", "File": files.path("base")},
                    "Credentials device": dict({"Source": "assume-role", "SourceCredentials": "base", "RoleArn": ROLE, "ExternalId": "site/7 a",
                                                "ConnectTo": "127.0.0.1:%d" % source.port, "CAFile": source.ca_file}, **more)}


def profile(folder, text, **more):
    """The shared files of a role that is assumed with another, and that with keys."""
    files = Files(folder)
    middle = "arn:aws:iam::111122223333:role/middle"
    source = StsStandin(folder, KEYS, {middle: {"by": BASE[0], "gives": OTHER}, ROLE: {"by": OTHER[0], "external": "x1", "gives": KEYS}}, keys=[BASE, OTHER])
    source.files = files
    files.write("config", text % {"role": ROLE, "middle": middle, "folder": folder})
    files.write("credentials", ini(BASE, "base"))
    return source, dict({"Source": "profile", "Profile": "scanner", "File": files.path("credentials"), "ConfigFile": files.path("config"),
                         "ConnectTo": "127.0.0.1:%d" % source.port, "CAFile": source.ca_file}, **more)


def always(wrong):
    return lambda source: setattr(source, "always", wrong)


# What goes wrong whoever asks, and what is said of it.
TROUBLES = [
    (always("html"), "not what it should be"),
    (always("wrong-xml"), "not what it should be"),
    (always("expired"), "have expired"),
    (always("huge"), "larger than credentials are"),
    (always("slow"), "STS in ap-southeast-2: cannot be reached"),
    (always(500), "InternalFailure"),
    (always("RegionDisabledException"), "not active in this region"),
    (always("Throttling"), "too many requests"),
]


class Rotating(BedrockStandin):
    """After `rotate_at` requests its keys are other ones, which its source has from then on; the old ones have expired."""
    rotate_at = None

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.on_rotate = None
        self.count = 0

    def _check_signature(self, line, headers, body):
        with self.lock:
            self.count += 1
            rotate = self.count == self.rotate_at
        if rotate:
            self.rotate()
        key = re.search("Credential=([^/]+)/", dict((n.lower(), v) for n, v in headers)["authorization"])
        if self.count >= (self.rotate_at or 1 << 30) and key and key[1] == KEYS[0]:
            raise Refused(403, "ExpiredTokenException", "The security token included in the request is expired")
        super()._check_signature(line, headers, body)

    def rotate(self):
        self.credentials = Credentials(*OTHER)
        if self.on_rotate:
            self.on_rotate()


def rotates(make, change):
    """Five pages; from the third request on the keys are other ones. Nothing is restarted, no try counted, nothing charged but answers."""
    with Setup(make, aws=Rotating) as (source, aws, s):
        s_secrets = [k for k in OTHER]
        aws.rotate_at = 3
        aws.on_rotate = lambda: change(source)
        ids = []
        for n in ("receipt-1", "receipt-2", "receipt-3", "receipt-4", "invoice-1"):
            ids += s.submit(sample(n), n.split("-", maxsplit=1)[0])
        s.wait_states(ids, {"done"})
        rows = s.rows("SELECT page, outcome, charged, settled_pusd, reason FROM attempts")
        spent = [r for r in rows if r["outcome"] != "done"]
        assert len([r for r in rows if r["outcome"] == "done"]) == 5 and spent, rows
        assert not [r for r in spent if r["outcome"] != "untouched" or r["charged"] or r["settled_pusd"]], rows
        assert not [p for p in s.pages().values() if p["tries"]], s.pages()
        told = s.read_log() + json.dumps(s.call("Doctor", areas=["credentials"]))
        assert not [w for w in s_secrets if w in told] and OTHER[0][-4:] in told, told
