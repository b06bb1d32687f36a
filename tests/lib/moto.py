"""moto, AWS's best known imitation, as a peer that is not ours: Debian 13's package from an extraction, its signature checking on.

It recomputes every signature and answers 403 SignatureDoesNotMatch to a wrong one; it does not look at the clock, and with an
x-amz-content-sha256 header it believes the hash. Of IAM it knows what users and roles may do; not whom a role trusts, external ids, whose a web
identity is, or that a session's keys expire. It listens by TLS under the names of Sydney's endpoints (ConnectTo= and CAFile= lead there).
"""
import http.client
import json
import os
import socket
import ssl
import subprocess
import time

import botocore.config
import botocore.session

import suite
from service import ROOT
from standin_aws import REGION, make_ca

NAMES = ["DNS:%s.%s.amazonaws.com" % (s, REGION) for s in ("runtime.sagemaker", "sts", "s3", "*.s3")] + ["IP:127.0.0.1"]


def fetch():
    """The extraction's root and the command line of its Python; skips the test when it cannot be had."""
    cache = os.environ.get("PAGEFERRY_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pageferry")
    p = subprocess.run([ROOT + "/tests/full/get-moto.sh", os.path.join(cache, "moto")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       encoding="utf-8", check=False)
    if p.returncode:
        raise suite.Skip(p.stdout.strip() or "moto cannot be had")
    root, *command = p.stdout.split()
    return root, command


class Moto:
    """`with Moto(folder) as m:` listens on 127.0.0.1:m.port; m.ca_file is its CA, m.access_key and m.secret_key are those of a user who may do all."""

    def __init__(self, folder):
        self.folder = folder
        self.root, self.command = fetch()
        self.ca_file, self.certificate, self.key = make_ca(folder, NAMES)
        self.process = None
        self.port = 0
        self.access_key = self.secret_key = "any"  # until checking begins

    def __enter__(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        environment = {"PYTHONHOME": self.root + "/usr", "PYTHONPATH": self.root + "/usr/lib/python3/dist-packages", "PYTHONDONTWRITEBYTECODE": "1",
                       "INITIAL_NO_AUTH_ACTION_COUNT": "1000000", "PATH": "/usr/bin:/bin", "HOME": self.folder}
        program = "import sys; from moto.server import main; main(sys.argv[1:])"
        with open(self.folder + "/moto.log", "ab") as log:
            self.process = subprocess.Popen(self.command + ["-c", program, "-p", str(self.port), "-c", self.certificate, "-k", self.key],
                                            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()
        self._make_user()
        self.checks()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _wait(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
                return
            except OSError:
                time.sleep(0.1)  # polling a foreign server's port: there is nothing to wait on
        raise AssertionError("moto did not come up: " + self.log()[-1500:])

    def checks(self, after=0):
        """From here on every signature is checked, but for those of so many calls."""
        self.post("/moto-api/reset-auth", b"%d" % after, "text/plain")

    def forget(self):
        """All that it had is gone, users and roles with their keys; there is a user as before, with new keys."""
        self.checks(1000000)
        self.post("/moto-api/reset", b"")
        self._make_user()
        self.checks()

    def _make_user(self):
        iam = self.client("iam")
        iam.create_user(UserName="pageferry")
        everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_user_policy(UserName="pageferry", PolicyName="all", PolicyDocument=json.dumps(everything))
        key = iam.create_access_key(UserName="pageferry")["AccessKey"]
        self.access_key, self.secret_key = key["AccessKeyId"], key["SecretAccessKey"]

    def log(self):
        with open(self.folder + "/moto.log", errors="replace", encoding="utf-8") as f:
            return f.read()

    def client(self, service):
        """botocore's own client, with the user's key."""
        return botocore.session.Session().create_client(
            service, region_name=REGION, endpoint_url="https://127.0.0.1:%d" % self.port, verify=self.ca_file, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}))

    def post(self, path, body, content_type="application/json"):
        """moto's own interface (/moto-api/...)."""
        c = http.client.HTTPSConnection("127.0.0.1", self.port, context=ssl.create_default_context(cafile=self.ca_file), timeout=20)
        c.request("POST", path, body, {"Content-Type": content_type})
        r = c.getresponse()
        answer = r.read()
        assert r.status < 300, (r.status, answer)
        return answer

    def credentials_file(self, folder, secret=None):
        """A file with the user's key, as the AWS command line writes it."""
        path = os.path.join(folder, "credentials")
        with open(path, "w", encoding="ascii") as f:
            f.write("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n" % (self.access_key, secret or self.secret_key))
        os.chmod(path, 0o600)
        return path
