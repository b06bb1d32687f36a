#!/usr/bin/python3
"""Power cuts. A guest hands in pages on a disk with a volatile cache; its power goes at a random moment, what the disk had in its cache is
lost, kept or torn, and the next life must find every page that was told to be safe. See docs/reliability.md, "Power cuts".

  --rounds N    random cuts over the file systems of --fs, a boot each
  --states N    at most N flush boundaries a file system of a recorded run, each looked at exactly and with part of what followed it
  --bugs        plant each bug until it is caught
  --bug NAME    plant this one in the rounds and states: they must fail
Prints "ok" and "not ok" lines, the totals, and "N passed, N failed, N skipped".
"""
import argparse
import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests/lib")]

from PIL import Image  # noqa: E402

import guest  # noqa: E402
from record import Promises, Survey, problems  # noqa: E402
from standin_aws import BedrockStandin  # noqa: E402
from volatile import Disk, copy_sparse  # noqa: E402

DISK_BYTES = 600 << 20
ROUNDS_A_DISK = 8
BUG_ROUNDS = 16          # a planted bug must be caught within so many
MKFS = {"ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"), "f2fs": ("mkfs.f2fs", "-q", "-f"),
        "btrfs": ("mkfs.btrfs", "-q", "-f")}
# What reaches the medium whole or not at all. All three count on their 4096-byte blocks: with 512 a torn commit block of the journal makes
# ext4 unmountable ("journal transaction is corrupt"), a torn superblock btrfs.
SECTOR = 4096
# Where each bug shows. "accept-no-dir-fsync" shows on f2fs, whose fsync() is of one inode: a rename is durable with the next checkpoint
# only. ext4 commits the rename with the next fsync() of whatever file, and btrfs notes the new name of a file in the log that the
# database's next fsync() writes; there it shows rarely or not at all.
BUGS = (("accept-no-fsync", "ext4"), ("accept-no-dir-fsync", "f2fs"), ("db-synchronous-normal", "ext4"))

CONFIG = """[Service]
ControlSocket=/run/control
Documents=/app/documents
DocumentsLocal=/app/none
Prices=/app/prices.conf
Helpers=/app
SocketHelpers=no
Lab=yes
[Spool]
Directory=/spool
FreeFloor=1M
InodeFloor=0
[Route]
Backends=sydney
StartSpread=0s
[Credentials aws]
Source=file
File=/app/credentials
[Backend sydney]
Kind=bedrock
ConnectTo=127.0.0.1:%d
CAFile=/app/ca.pem
Backoff=50ms
BackoffMax=200ms
"""


class Totals:
    names = ("cuts", "early", "acknowledged", "answered", "lost", "corrupt", "twice", "empty", "boundaries", "tails")

    def __init__(self):
        self.by_fs = {}
        self.passed = self.failed = 0

    def add(self, fs, name, n=1):
        self.by_fs.setdefault(fs, dict.fromkeys(self.names, 0))[name] += n

    def result(self, what, found):
        """One line of the suite; `found` is what is wrong."""
        self.passed += not found
        self.failed += bool(found)
        print(("not ok %s: %s" % (what, "; ".join(found[:6])) if found else "ok " + what), flush=True)

    def table(self):
        rows = [(fs, t) for fs, t in self.by_fs.items()]
        if len(rows) > 1:
            rows.append(("total", {n: sum(t[n] for _, t in rows) for n in self.names}))
        print("# %-6s %s" % ("", " ".join("%12s" % n for n in self.names)))
        for fs, t in rows:
            print("# %-6s %s" % (fs, " ".join("%12d" % t[n] for n in self.names)))


class Lab:
    """What all guests share: the kernel, the stand-in on the host, the pages, the archives of the builds."""

    def __init__(self, folder, builds):
        self.folder, self.builds, self.machines = folder, builds, {}
        self.kernel = guest.kernel()
        self.aws = BedrockStandin(folder)
        self.aws.start()
        self.extra = self.files()

    def files(self):
        def put(name, text):
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            return path
        extra = {"/app/pageferry.conf": put("pageferry.conf", CONFIG % self.aws.port), "/app/ca.pem": self.aws.ca_file,
                 "/app/prices.conf": ROOT + "/configs/prices.conf",
                 "/app/credentials": put("credentials", "[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n" % (
                     self.aws.credentials.access_key, self.aws.credentials.secret_key))}
        for name in os.listdir(ROOT + "/configs/documents"):
            extra["/app/documents/" + name] = ROOT + "/configs/documents/" + name
        # Three small pages, one that is many blocks long.
        for n in range(1, 5):
            path = os.path.join(self.folder, "page-%d.jpg" % n)
            page = Image.open("%s/tests/samples/pages/receipt-%d.jpg" % (ROOT, (n - 1) % 3 + 1))
            if n < 4:
                page = page.crop((500, 250, 1950, 1150)).convert("L").resize((580, 360))
            page.save(path, quality=60)
            extra["/app/page-%d.jpg" % n] = path
        return extra

    def machine(self, bugs):
        build = self.builds["fault" if bugs else "release"]
        if build not in self.machines:
            archive = os.path.join(self.folder, "initramfs-%d" % len(self.machines))
            guest.initramfs(self.kernel, build, self.extra, archive)
            blank = self.disk("ext4", SECTOR)
            self.machines[build] = guest.Machine(self.folder, self.kernel, archive, blank)
            blank.remove()
            print("# %s, kernel %s, %s" % (build, os.path.basename(self.kernel), self.machines[build].accelerator), flush=True)
        return self.machines[build]

    def disk(self, fs, sector, recorder=None):
        path = tempfile.mktemp(prefix=fs + "-", dir=self.folder)
        with open(path, "wb") as f:
            f.truncate(DISK_BYTES)
        guest.run(guest.find(MKFS[fs][0]), *MKFS[fs][1:], path)
        return Disk(path, sector, recorder)

    def served(self, since):
        return [r["page"] for r in self.aws.requests[since:] if "page" in r]

    def wait_quiet(self):
        """A request of a guest that is gone is noted before the next one is looked at."""
        deadline = time.monotonic() + 30
        while self.aws.connections and time.monotonic() < deadline:
            time.sleep(0.01)


class Life:
    """One boot of a disk: what is found, and what is promised from then on."""

    def __init__(self, lab, fs, disk, mode, promises, bugs=""):
        self.lab, self.disk, self.promises, self.survey, self.working = lab, disk, promises, Survey(), False
        self.machine = lab.machine(bugs)
        self.guest = self.machine.wake(disk, fs, mode, lab.aws.port, bugs)
        self.tail = []
        self.started = time.monotonic()

    def line(self, text):
        self.tail = self.tail[-30:] + ["%.1f %s" % (time.monotonic() - self.started, text[:200])]
        if text == "working":
            self.working = True
        elif not self.promises.line(text):
            self.survey.line(text)

    def run(self, until, seconds):
        return self.guest.run(self.line, until, seconds * self.machine.patience())

    def cut(self, rng):
        self.guest.cut(self.line)
        self.lab.wait_quiet()
        return self.disk.cut(rng)

    def keep(self, why):
        """What there is to look at after a failure."""
        folder = tempfile.mkdtemp(prefix="pageferry-torture-failed-")
        with open(folder + "/why", "w", encoding="utf-8") as f:
            f.write("\n".join(why + ["", "notes:"] + self.survey.notes + ["", "last lines:"] + self.tail) + "\n")
        for name in ("serial", "qemu"):
            if os.path.exists(os.path.join(self.guest.folder, name)):
                shutil.copy(os.path.join(self.guest.folder, name), folder)
        copy_sparse(self.disk.path, folder + "/disk")
        return folder


# ---- random cuts --------------------------------------------------------------------------------------------------------

class Torture:
    """A disk after the other, each with some lives."""

    def __init__(self, lab, totals, fs, seed, bugs=""):
        self.lab, self.totals, self.fs, self.seed, self.bugs = lab, totals, fs, seed, bugs
        self.n_disks = 0

    def rounds(self, count):
        """Plays `count` rounds, or fewer when one fails; yields (name, what is wrong) for each."""
        while count > 0:
            self.n_disks += 1
            n = min(count, ROUNDS_A_DISK)
            yield from self.disk_rounds(n, "%s/%s/%d" % (self.seed, self.fs, self.n_disks))
            count -= n

    def disk_rounds(self, count, seed):
        rng = random.Random(seed)
        disk = self.lab.disk(self.fs, SECTOR)
        promises, first_request = Promises(), len(self.lab.aws.requests)
        cut = "new"
        try:
            for n in range(count + 1):
                name = "%s seed %s cut %d" % (self.fs, seed, n)
                found, what, next_cut = self.life(disk, rng, promises, first_request, n < count)
                if n > 0 or found:  # what a life finds is the verdict on the cut before
                    yield "%s: %s; then %s" % (name, cut, what), found
                cut = "%d safe, %d writes in the cache of which %d bytes stayed" % ((len(promises.safe),) + next_cut)
                if found:
                    return
        finally:
            self.totals.add(self.fs, "acknowledged", len(promises.safe))
            self.totals.add(self.fs, "answered", len(promises.done))
            disk.remove()

    def life(self, disk, rng, promises, first_request, goes_on):
        """Boots until it comes to work, is looked at, works and is cut."""
        while goes_on and rng.random() < 0.2:
            self.early_cut(disk, rng, promises)
        life = Life(self.lab, self.fs, disk, "work" if goes_on else "look", promises, self.bugs)
        try:
            life.run(lambda: life.survey.complete or any(k == "fatal" for k, _ in life.survey.trouble), 60)
            promises.served = self.lab.served(first_request)
            wrong = problems(promises, life.survey)
            for kind, _ in wrong:
                self.totals.add(self.fs, kind)
            found = ["%s: %s" % w for w in wrong]
            what = "%d pages, %d answers" % (len(life.survey.rows["page"]), len(life.survey.rows["result"]))
            if goes_on and not found:
                found += self.work(life, rng, promises)
                self.totals.add(self.fs, "cuts")
            cut = life.cut(rng)
            if found and not self.bugs:
                print("# kept: " + life.keep(found), flush=True)
            return found, what, cut
        finally:
            life.guest.clean()

    def work(self, life, rng, promises):
        """Until so many pages were told to be safe and so many writes more were made. No page: the round is worth nothing."""
        before, wanted, more = len(promises.safe), rng.randint(1, 12), rng.choice((0, rng.randint(1, 8), rng.randint(1, 60), rng.randint(1, 60)))
        life.run(lambda: len(promises.safe) - before >= wanted, 60)
        writes = life.disk.writes
        life.run(lambda: life.disk.writes - writes >= more, 10)
        if len(promises.safe) > before:
            return []
        self.totals.add(self.fs, "empty")
        return ["nothing was acknowledged: " + " | ".join(life.tail[-4:])]

    def early_cut(self, disk, rng, promises):
        """While it mounts, recovers or begins: a cut in which nothing need have been acknowledged."""
        life = Life(self.lab, self.fs, disk, "work", promises, self.bugs)
        try:
            writes, wanted = disk.writes, rng.randint(1, 150)
            life.run(lambda: disk.writes - writes >= wanted, 30)
            life.cut(rng)
            self.totals.add(self.fs, "cuts")
            self.totals.add(self.fs, "early")
        finally:
            life.guest.clean()


def torture(lab, totals, args):
    share = [args.rounds // len(args.fs) + (i < args.rounds % len(args.fs)) for i in range(len(args.fs))]
    for fs, count in zip(args.fs, share):
        for name, found in Torture(lab, totals, fs, args.seed, args.bug).rounds(count):
            totals.result(name, found)


def plant_bugs(lab, totals, args):
    for bug, fs in (b for b in BUGS if not args.bugs or b[0] in args.bugs):
        counts, caught, n = Totals(), None, 0
        for n, (_, found) in enumerate(Torture(lab, counts, fs, "%s/%s" % (args.seed, bug), bug).rounds(BUG_ROUNDS), 1):
            if found:
                caught = found
                break
        totals.result("planted %s on %s: %s" % (bug, fs, "caught at cut %d: %s" % (n, caught[0]) if caught else "%d cuts" % n),
                      [] if caught else ["not caught"])


# ---- every flush boundary of a recorded run -----------------------------------------------------------------------------

class Replay:
    """A run whose writes are recorded with what was promised at each flush, and the states a power cut could have left."""

    def __init__(self, lab, totals, fs, seed, bugs=""):
        self.lab, self.totals, self.fs, self.bugs = lab, totals, fs, bugs
        self.seed = "%s/%s/states" % (seed, fs)
        self.rng = random.Random(self.seed)
        self.log = []      # ("write", offset, data) or ("flush", promises as it came, None)
        self.promises = Promises()

    def record(self, pages):
        first_request = len(self.lab.aws.requests)

        def recorder(kind, offset, data):
            if kind == "flush":
                self.promises.served = self.lab.served(first_request)
                self.log.append(("flush", self.promises.at(), None))
            else:
                self.log.append((kind, offset, data))
        disk = self.lab.disk(self.fs, SECTOR, recorder)
        copy_sparse(disk.path, disk.path + ".start")
        life = Life(self.lab, self.fs, disk, "work", self.promises, self.bugs)
        try:
            life.run(lambda: len(self.promises.safe) >= pages and len(self.promises.done) * 2 >= pages, 60)
            life.cut(self.rng)
        finally:
            life.guest.clean()
            disk.close()
            os.rename(disk.path + ".start", disk.path)
        return disk.path

    def boundaries(self):
        """(end of the log there, where the next flush is, what was promised until that one came)."""
        flushes = [i for i, e in enumerate(self.log) if e[0] == "flush"]
        for this, following in zip(flushes, flushes[1:]):
            if any(e[0] != "flush" for e in self.log[this:following]):
                yield this + 1, following, self.log[following][1]

    def run(self, limit, pages):
        path = self.record(pages)
        states = list(self.boundaries())
        chosen = states if len(states) <= limit else [states[(2 * i + 1) * len(states) // (2 * limit)] for i in range(limit)]
        disk = Disk(path, SECTOR)
        disk.hold = True
        life, at, found = None, 0, []
        try:
            for n, (end, following, promised) in enumerate(chosen):
                for kind, offset, data in self.log[at:end]:
                    if kind != "flush":
                        disk.settle(offset, data)
                at = end
                for tail in self.tails(disk, end, following):
                    life = life or Life(self.lab, self.fs, disk, "states", Promises(), self.bugs)
                    wrong = self.look(life, disk, tail, promised, n % 8 == 0)
                    for kind, text in wrong:
                        self.totals.add(self.fs, kind)
                        found.append("at flush %d of %d: %s: %s" % (states.index(chosen[n]), len(states), kind, text))
                    if wrong and not self.bugs:
                        print("# kept: " + life.keep(found[-3:]), flush=True)
                    if wrong and not life.survey.complete:
                        life.guest.cut(life.line)
                        life.guest.clean()
                        life = None
                        disk.forget()
                if len(found) > 5:
                    break
        finally:
            if life:
                life.guest.cut(life.line)
                life.guest.clean()
            disk.remove()
        if not self.promises.safe or not chosen:
            found.append("nothing was acknowledged")
        self.totals.add(self.fs, "acknowledged", len(self.promises.safe))
        self.totals.add(self.fs, "answered", len(self.promises.done))
        self.totals.result("%s seed %s: %d of %d flush boundaries, %d writes, %d pages safe, %d answers" % (
            self.fs, self.seed, len(chosen), len(states), sum(e[0] != "flush" for e in self.log), len(self.promises.safe), len(self.promises.done)), found)

    def tails(self, disk, end, following):
        """What of the writes after the boundary reached the disk: nothing; and once a part."""
        writes = [(offset, data) for kind, offset, data in self.log[end:following] if kind == "write"]
        durable = [(offset, data) for kind, offset, data in self.log[end:following] if kind == "fua"]
        self.totals.add(self.fs, "boundaries")
        yield []
        self.totals.add(self.fs, "tails")
        yield disk.survivors(writes, self.rng) + durable

    def look(self, life, disk, tail, promised, fsck):
        for offset, data in tail:
            disk.write(offset, data)
        life.survey = Survey()
        if not life.run(lambda: life.guest.console is not None, 60):
            return [("corrupt", "the guest did not start")]
        life.guest.say("go fsck" if fsck else "go -")
        life.run(lambda: life.survey.complete, 60)
        promises = promised.at()
        wrong = problems(promises, life.survey)
        # Back to the boundary, once the guest has let go of the disk.
        if not life.run(lambda: bool(life.tail) and life.tail[-1].endswith(" next"), 60):
            life.survey.complete = False
        life.tail.append("")
        disk.forget()
        return wrong


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--build", required=True)
    ap.add_argument("--fault", required=True)
    ap.add_argument("--rounds", type=int, default=0)
    ap.add_argument("--states", type=int, default=0)
    ap.add_argument("--pages", type=int, default=10, help="pages in the run that is recorded for --states")
    ap.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    ap.add_argument("--fs", nargs="+", default=list(MKFS), choices=list(MKFS))
    ap.add_argument("--bug", default="")
    ap.add_argument("--bugs", nargs="*", choices=[b for b, _ in BUGS], help="all of them if none is named")
    args = ap.parse_args()
    totals = Totals()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pageferry-torture-") as folder:
        try:
            lab = Lab(folder, {"release": args.build, "fault": args.fault})
            print("# seed %s, %s" % (args.seed, " ".join(args.fs)), flush=True)
            torture(lab, totals, args)
            if args.states:
                for fs in args.fs:
                    Replay(lab, totals, fs, args.seed, args.bug).run(args.states, args.pages)
            if args.bugs is not None:
                plant_bugs(lab, totals, args)
        except guest.Missing as e:
            totals.result("torture", [str(e)])
    totals.table()
    print("# seed %s, %.0f s" % (args.seed, time.monotonic() - started))
    print("%d passed, %d failed, 0 skipped" % (totals.passed, totals.failed))
    sys.exit(totals.failed > 0)


main()
