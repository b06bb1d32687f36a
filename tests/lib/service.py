"""A private pageferryd in a folder of its own, for tests and the demonstration: configuration, start until READY, calls, stop."""
import json
import os
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

from varlink import Varlink

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAMPLES = os.path.join(ROOT, "tests/samples/pages")


def build_folder(fault=False):
    return os.environ["PAGEFERRY_FAULT_BUILD" if fault else "PAGEFERRY_BUILD"]


def sample(name):
    return os.path.join(SAMPLES, name + ".jpg")


def truth(name):
    with open(os.path.join(SAMPLES, name + ".json"), encoding="utf-8") as f:
        return json.load(f)


def private_dirty(pid):
    """Of a process, in KiB: what it alone has in memory."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Private_Dirty:"))


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


class Service:
    """`with Service(backends={...}, route="sydney ocr") as s:`; sections are {"Backend sydney": {"Kind": "bedrock"}} merged over the defaults."""

    poll = 2  # seconds after which wait() looks again without an event

    def __init__(self, sections=None, fault=False, build=None, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="pageferry-", dir="/tmp")
        self.own_folder = folder is None
        self.build = build or build_folder(fault)
        self.socket = os.path.join(self.folder, "control")
        self.spool = os.path.join(self.folder, "spool")
        self.config = os.path.join(self.folder, "pageferry.conf")
        self.log = os.path.join(self.folder, "log")
        self.process = None
        self.notify = None
        os.makedirs(self.spool, exist_ok=True)
        self.configure(sections or {})

    def configure(self, sections):
        config = {
            "Service": {"ControlSocket": self.socket, "Documents": ROOT + "/configs/documents", "DocumentsLocal": self.folder + "/documents",
                        "Prices": ROOT + "/configs/prices.conf", "Helpers": os.path.abspath(self.build), "StopTimeout": "5s"},
            "Spool": {"Directory": self.spool, "FreeFloor": "1M", "InodeFloor": "10"},
        }
        for name, keys in sections.items():
            config.setdefault(name, {}).update(keys)
        # Restarts with pages that wait are many here; what StartSpread= does is shown where it is asked for.
        config.setdefault("Route", {}).setdefault("StartSpread", "0s")
        with open(self.config, "w", encoding="utf-8") as f:
            for name, keys in config.items():
                f.write("[%s]\n" % name + "".join("%s=%s\n" % kv for kv in keys.items()) + "\n")

    def change_type(self, name, **members):
        """A document type of the sample configuration, with other members."""
        with open("%s/configs/documents/%s.json" % (ROOT, name), encoding="utf-8") as f:
            kind = dict(json.load(f), **members)
        os.makedirs(self.folder + "/documents", exist_ok=True)
        with open("%s/documents/%s.json" % (self.folder, name), "w", encoding="utf-8") as f:
            json.dump(kind, f)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.clean()

    def clean(self):
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, env=None, wait=True):
        """Starts the daemon; waits for READY=1 (sd_notify), or raises with its log when it ends before."""
        path = os.path.join(self.folder, "notify")
        if os.path.exists(path):
            os.unlink(path)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([os.path.join(self.build, "pageferryd"), "-c", self.config], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd="/", env=dict(os.environ, NOTIFY_SOCKET=path, **(env or {})))
        return self.wait_notify("READY=1") if wait else True

    def wait_notify(self, wanted, timeout=60):
        """Waits for a message of sd_notify; False when the daemon ends first. Later messages are read and dropped, as systemd reads them always."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if select.select([self.notify], [], [], 0.05)[0]:
                if wanted in self.notify.recv(65536).decode(errors="replace").split("\n"):
                    threading.Thread(target=self._drain, args=(self.notify,), daemon=True).start()
                    return True
            elif self.process.poll() is not None:
                return False
        raise TimeoutError("no %s\n%s" % (wanted, self.read_log()[-3000:]))

    def _close_notify(self):
        try:
            self.notify.shutdown(socket.SHUT_RDWR)  # ends the reader's recv()
        except OSError:
            pass
        self.notify.close()

    @staticmethod
    def _drain(notify):
        try:
            while notify.recv(65536):
                pass
        except OSError:
            pass

    def stop(self, timeout=60):
        """SIGTERM and wait; returns the exit status (None: was not running)."""
        if not self.process:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._close_notify()
        self.process = None
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._close_notify()
        self.process = None

    def read_log(self):
        with open(self.log, errors="replace", encoding="utf-8") as f:
            return f.read()

    # ---- calls ------------------------------------------------------------------------------------------------------

    def client(self, timeout=60):
        return Varlink(self.socket, timeout)

    def call(self, method, **parameters):
        with self.client() as v:
            return v.call("io.pageferry." + method, parameters)

    def submit(self, path, kind="auto", **more):
        """Submits a file and waits until it is accepted; the ids of its pages."""
        fd = os.open(path, os.O_RDONLY)
        try:
            with self.client() as v:
                return v.call("io.pageferry.Submit", dict({"file": 0, "name": os.path.basename(path), "type": kind}, **more), fd=fd).get("pages") or []
        finally:
            os.close(fd)

    def pages(self):
        """Every page's row as {id: row}."""
        out, before = {}, None
        while True:
            r = self.call("List", limit=100, **({"before": before} if before else {}))
            for p in r["pages"]:
                out[p["id"]] = p
            if not r["more"]:
                return out
            before = r["pages"][-1]["id"]

    def wait(self, test, timeout=120):
        """Calls test() after every event until it is true; raises with the log when it never is."""
        deadline = time.monotonic() + timeout
        with self.client(timeout) as v:
            v.send("io.pageferry.Monitor", {}, more=True)
            while True:
                result = test()
                if result:
                    return result
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("waited %d s in vain; pages: %s\n%s" % (timeout, str(self.call("List")["pages"])[:1000], self.read_log()[-3000:]))
                v.s.settimeout(min(left, self.poll))
                try:
                    v.receive()
                except socket.timeout:
                    pass

    def wait_page(self, page, state, timeout=120):
        """One page alone, whatever else there is."""
        return self.wait(lambda: self.call("Show", page=page)["page"]["state"] == state, timeout)

    def wait_states(self, ids, states, timeout=120):
        def reached():
            pages = self.pages()
            return all(i in pages and pages[i]["state"] in states for i in ids) and pages
        return self.wait(reached, timeout)

    # ---- what is on disk --------------------------------------------------------------------------------------------

    def rows(self, sql, *args):
        """Rows straight from the database; the daemon may be running (WAL) or not."""
        db = sqlite3.connect("file:%s/spool.db?mode=ro" % self.spool, uri=True)
        db.row_factory = sqlite3.Row
        try:
            return [dict(r) for r in db.execute(sql, args)]
        finally:
            db.close()

    def result(self, page):
        with open(os.path.join(self.spool, "results", page + ".json"), encoding="utf-8") as f:
            return json.load(f)

    def spool_verb(self, *args, stdin=subprocess.DEVNULL, **more):
        """`pageferryd spool ...` on this spool; the daemon must be stopped."""
        return subprocess.run([os.path.join(self.build, "pageferryd"), "spool", *args, "--directory", self.spool], stdin=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=120, check=False, **more)

    def fsck(self, *args):
        """What `pageferryd spool fsck` finds, as a list of its JSON objects without the summary; raises when it cannot check."""
        r = self.spool_verb("fsck", "--json", *args)
        lines = [json.loads(line) for line in r.stdout.splitlines()]
        assert r.returncode in (0, 1) and lines and lines[-1]["summary"], (r.returncode, r.stdout, r.stderr)
        found = [f for f in lines[:-1] if f["remedy"] != "note"]
        assert lines[-1]["findings"] == len(found) and r.returncode == (1 if found else 0), (r.returncode, lines)
        return found


class Asking:
    """A service and the stand-in that it asks, in a folder: `service`, `aws`, which listens already, and `folder`. `with` it the service runs."""

    def __enter__(self):
        self.service.start()
        return self.aws, self.service

    def __exit__(self, *_):
        self.service.stop()
        self.aws.stop()
        self.service.clean()
        self.folder.cleanup()
