"""A service whose one backend, Bedrock by its stand-in, has credentials of a source that a test makes; and what holds of all of them:
trouble with credentials loses no page, counts no try, costs nothing and rejects nothing, and no secret is told."""
import json
import tempfile

from service import Service, sample
from standin_aws import BedrockStandin

KEYS = ("ASIADEVICEEXAMPLE001", "device/secret+key=", "TOKEN//+=" * 60)


class Nothing:
    """A source that is no server."""

    def __init__(self):
        self.script, self.requests = [], []

    def __exit__(self, *_):
        pass


class Setup:
    """make(folder) gives the stand-in of the source and the keys of [Credentials device], or whole sections; `aws` is a class of stand-ins
    for Bedrock."""

    def __init__(self, make, aws=BedrockStandin, env=None, timeout="5s"):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-creds-", dir="/tmp")
        self.aws = aws(self.folder.name, access_key=KEYS[0], secret_key=KEYS[1], token=KEYS[2])
        self.aws.start()
        self.secrets = list(KEYS) + ["secret+key=", "OTHERTOKEN", "eyJ0."]  # those of roles' bases, of keys that come later, of web identities
        self.env = env(self.folder.name) if env else None
        self.source, section = make(self.folder.name)
        more = section if "Credentials device" in section else {"Credentials device": section}
        more["Credentials device"].setdefault("Timeout", timeout)
        if more["Credentials device"]["Source"] in ("file", "environment", "systemd-credential", "api-key"):
            del more["Credentials device"]["Timeout"]
        self.service = Service(dict({
            "Service": {"Lab": "yes"}, "Route": {"Backends": "sydney"},
            "Backend sydney": {"Kind": "bedrock", "Model": "amazon.nova-pro-v1:0", "ConnectTo": "127.0.0.1:%d" % self.aws.port,
                               "CAFile": self.aws.ca_file, "Credentials": "device", "Backoff": "100ms", "BackoffMax": "400ms", "Timeout": "20s"},
        }, **more))
        self.service.poll = 0.3  # files, programs and stand-ins send no events

    def __enter__(self):
        self.service.start(env=self.env)
        return self.source, self.aws, self.service

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.no_secret()
        finally:
            self.service.stop()
            self.source.__exit__()
            self.aws.stop()
            self.service.clean()
            self.folder.cleanup()

    def no_secret(self):
        """Neither the log nor what people can ask for has one; of the access key its ends alone."""
        s = self.service
        told = s.read_log() + json.dumps([s.call("Status"), s.call("Doctor", areas=["credentials", "backends"])])
        assert not [w for w in self.secrets if w in told], "a secret is told: " + told


def changed(make, change):
    """What `make` makes, changed before the service is started, which asks for credentials at once."""
    def made(folder):
        source, section = make(folder)
        change(source, folder)
        return source, section
    return made


def untouched(s, page):
    """The page waits as it came."""
    row = s.pages()[page]
    assert row["state"] == "queued" and row["tries"] == 0, row
    assert not s.rows("SELECT id FROM attempts"), s.rows("SELECT * FROM attempts")


def gone_once(aws, s, ids):
    """Each of the pages went once, and nothing was sent, counted or charged before."""
    s.wait_states(ids, {"done"})
    assert [r["status"] for r in aws.requests] == [200] * len(ids), aws.requests
    assert len(s.rows("SELECT id FROM attempts")) == len(ids) and not [i for i in ids if s.pages()[i]["tries"]], s.pages()


def says(s, words, level="problem"):
    """Waits until the doctor says that of the source, who asks it again as a person would; the finding is returned."""
    def look():
        found = s.call("Doctor", areas=["credentials"], live=True)["findings"]
        return next((f for f in found if f["what"].startswith("device (") and words in f["what"] and f["level"] == level), None)
    return s.wait(look, 60)


def waits(setup, words):
    """The page waits, and status and doctor say why; it is returned."""
    _, aws, s = setup
    ids = s.submit(sample("receipt-1"), "receipt")
    s.wait(lambda: next((b for b in s.call("Status")["backends"] if b["name"] == "sydney" and words in (b.get("message") or "")), None))
    assert says(s, words)["advice"]
    untouched(s, ids[0])
    assert not aws.requests
    return ids


def mended(setup, ids):
    """What was wrong is not any more: the pages go, each once."""
    _, aws, s = setup
    says(s, "from ", "ok")
    gone_once(aws, s, ids)


def goes_through(make, script=(), **more):
    """A page waits for credentials through all that is scripted, and is then done."""
    def scripted(source, _):
        source.script = list(script)
    with Setup(changed(make, scripted), **more) as (source, aws, s):
        gone_once(aws, s, s.submit(sample("receipt-1"), "receipt"))
        assert not source.script, source.script
        return source.requests


def suffers(make, troubles, mend, **more):
    """A page waits through (set_trouble, words that are said) after each other, untouched, and goes once all is mended. The first trouble is
    there before the service is started: what a file had serves for a second after it."""
    with Setup(changed(make, lambda source, _: troubles[0][0](source)), **more) as (source, aws, s):
        ids = s.submit(sample("receipt-1"), "receipt")
        for n, (trouble, words) in enumerate(troubles):
            if n > 0:
                trouble(source)
            assert says(s, words)["advice"]
            untouched(s, ids[0])
        mend(source)
        mended((source, aws, s), ids)
