"""The guest: a Debian kernel and an initramfs with what is under test, in QEMU; its disk is a volatile.Disk."""
import json
import lzma
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid

from volatile import Server

HERE = os.path.dirname(os.path.abspath(__file__))
QEMU = "qemu-system-x86_64"
BOOT_S = 90
SIGN_OF_LIFE_S = 15      # a kernel that says nothing for so long does not run
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "crc32_generic", "crc32c_generic", "ext4", "f2fs", "btrfs")
TOOLS = ("e2fsck", "fsck.f2fs", "btrfs", "sqlite3")
PACKAGES = {QEMU: "qemu-system-x86", "mkfs.ext4": "e2fsprogs", "mkfs.f2fs": "f2fs-tools", "mkfs.btrfs": "btrfs-progs", "busybox": "busybox-static",
            "modprobe": "kmod", "depmod": "kmod", "e2fsck": "e2fsprogs", "fsck.f2fs": "f2fs-tools", "btrfs": "btrfs-progs",
            "cpio": "cpio", "sqlite3": "sqlite3", "ldd": "libc-bin", "apt-get": "apt"}


class Missing(Exception):
    """Something that the guest is made of cannot be had; the text says what and why."""


def find(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Missing("%s is not here (Debian package %s)" % (program, PACKAGES.get(program, program)))
    return path


def run(*command, **more):
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)
    if p.returncode:
        raise Missing("%s ended with %d: %s" % (" ".join(command), p.returncode, p.stdout.decode(errors="replace")[-400:]))
    return p.stdout.decode()


# ---- the kernel ---------------------------------------------------------------------------------------------------------

def cache_folder():
    cache = os.environ.get("PAGEFERRY_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pageferry")
    return os.path.join(cache, "kernel")


def newest_kernel():
    """Package and version that Debian's linux-image-amd64 stands for; (None, why) when apt does not know."""
    try:
        depends = run("apt-cache", "depends", "linux-image-amd64")
        package = re.search(r"Depends: (linux-image-[0-9][^ \n]*-amd64)", depends)
        if not package:
            return None, "apt-cache knows no linux-image-amd64 (apt-get update?)"
        version = re.search(r"Candidate: (\S+)", run("apt-cache", "policy", package[1]))
        return (package[1], version[1]), None
    except (Missing, OSError) as e:
        return None, str(e)


def download(package, folder):
    """Puts the extracted package there, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix="new-", dir=cache_folder()) as new:
        run("apt-get", "download", package, cwd=new)
        deb, = [f for f in os.listdir(new) if f.endswith(".deb")]
        run("dpkg-deb", "-x", os.path.join(new, deb), new + "/root")
        version, = os.listdir(new + "/root/lib/modules")
        run(find("depmod"), "-b", new + "/root", version)
        try:
            os.rename(new + "/root", folder)
        except OSError:
            if not os.path.isdir(folder):  # another run was faster
                raise


def kernel():
    """The folder of an extracted kernel package: boot/vmlinuz-*, lib/modules/*. Downloaded once a version; offline an older one will do."""
    os.makedirs(cache_folder(), exist_ok=True)
    why = []
    for attempt in range(2):
        if attempt and os.geteuid() == 0:  # the lists may be old, or not there
            subprocess.run(["apt-get", "-qq", "update"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        wanted, problem = newest_kernel()
        if not wanted:
            why.append(problem)
            continue
        folder = os.path.join(cache_folder(), "%s_%s" % wanted)
        try:
            if not os.path.isdir(folder):
                download(wanted[0], folder)
            return folder
        except (Missing, OSError) as e:
            why.append(str(e))
    have = sorted(h for h in os.listdir(cache_folder()) if h.startswith("linux-image-"))
    if not have:
        raise Missing("no kernel: " + why[-1])
    return os.path.join(cache_folder(), have[-1])


def vmlinux(kernel_folder):
    """The kernel as an ELF file, which QEMU starts at once; unpacking itself takes it long where the machine is emulated."""
    target = os.path.join(kernel_folder, "vmlinux")
    if not os.path.exists(target):
        name, = [f for f in os.listdir(kernel_folder + "/boot") if f.startswith("vmlinuz-")]
        with open(os.path.join(kernel_folder, "boot", name), "rb") as f:
            packed = f.read()
        start = packed.find(b"\xfd7zXZ\0")
        if start < 0:
            return os.path.join(kernel_folder, "boot", name)
        with open(target + ".new", "wb") as f:
            f.write(lzma.LZMADecompressor().decompress(packed[start:]))
        os.replace(target + ".new", target)
    return target


def module_files(root, version):
    """Paths of the modules in the order of their loading."""
    files = []
    for m in MODULES:
        for line in run(find("modprobe"), "-d", root, "-S", version, "--show-depends", "--ignore-install", m).splitlines():
            words = line.split()
            if words[:1] == ["insmod"] and words[1] not in files:
                files.append(words[1])
    return files


# ---- the initramfs ------------------------------------------------------------------------------------------------------

def libraries(programs):
    """Shared libraries and the loader of the programs."""
    found = set()
    for p in programs:
        for line in run("ldd", p).splitlines():
            m = re.search(r"(?:=> )?(/\S+) \(0x", line)
            if m:
                found.add(m[1])
    return found


def copy_into(root, source, target):
    path = root + "/" + target.lstrip("/")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copyfile(os.path.realpath(source), path)
    os.chmod(path, 0o755)


def initramfs(kernel_folder, build, extra, target):
    """Writes the archive: busybox, modules, the build's programs with their libraries, and `extra` ({path: host's path})."""
    version, = os.listdir(kernel_folder + "/lib/modules")
    with tempfile.TemporaryDirectory(prefix="initramfs-", dir=os.path.dirname(target)) as root:
        copy_into(root, find("busybox"), "/bin/busybox")
        os.symlink("busybox", root + "/bin/sh")
        copy_into(root, HERE + "/init", "/init")
        programs = [os.path.join(build, p) for p in ("pageferryd", "pageferry-capture", "pageferryctl")]
        tools = [find(t) for t in TOOLS]
        for p in programs + tools:
            copy_into(root, p, "/app/" + os.path.basename(p))
        for lib in libraries(programs + tools):
            copy_into(root, lib, lib)
        os.makedirs(root + "/modules")
        with open(root + "/modules/order", "w", encoding="ascii") as order:
            for m in module_files(kernel_folder, version):
                shutil.copy(m, root + "/modules")
                order.write(os.path.basename(m) + "\n")
        for path, source in extra.items():
            copy_into(root, source, path)
            os.chmod(root + path, 0o600)
        names = subprocess.run(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE, check=True).stdout
        with open(target, "wb") as out:
            subprocess.run(["cpio", "-o", "-0", "-H", "newc", "--quiet", "-R", "0:0"], cwd=root, input=names, stdout=out, check=True)


# ---- the machine --------------------------------------------------------------------------------------------------------

class Guest:
    """One life of the machine. `run()` serves the disk and hands every line of the guest to `on_line` until it is told to stop."""

    def __init__(self, folder, accelerator, arguments, disk):
        self.folder = tempfile.mkdtemp(prefix="vm-", dir=folder)
        self.disk, self.rest, self.console, self.order = disk, b"", None, None
        self.server = Server(self.folder + "/nbd", disk)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.folder + "/port")
        self.listener.listen(1)
        self.serial = self.folder + "/serial"
        command = [find(QEMU), "-M", "pc", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "320", "-smp", "1"]
        command += ["-accel", "kvm", "-cpu", "host,arch-capabilities=off"] if accelerator == "kvm" else ["-accel", "tcg", "-cpu", "max"]
        command += ["-serial", "file:" + self.serial, "-qmp", "unix:%s/qmp,server=on,wait=off" % self.folder, "-device", "vmgenid,guid=auto",
                    "-device", "virtio-serial-pci", "-chardev", "socket,id=port,path=%s/port" % self.folder,
                    "-device", "virtserialport,chardev=port,name=pageferry",
                    "-blockdev", "nbd,node-name=disk,server.type=unix,server.path=%s/nbd,cache.direct=on" % self.folder,
                    "-device", "virtio-blk-pci,drive=disk,write-cache=on",
                    "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]
        with open(self.folder + "/qemu", "wb") as log:
            self.process = subprocess.Popen(command + arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def say(self, line):
        self.console.sendall(line.encode() + b"\n")

    def _lines(self, on_line):
        """What has come on the port; False at its end."""
        if not self.console:
            self.console, _ = self.listener.accept()
            if self.order:
                self.say(self.order)
            return True
        data = self.console.recv(1 << 20)
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            on_line(line.decode(errors="replace"))
        return bool(data)

    def run(self, on_line, until, seconds):
        """Serves until `until()` is true: True; False when the machine ended or the time was up. Lines come before the writes that follow them."""
        deadline = time.monotonic() + seconds
        while not until():
            port, disk = self.console or self.listener, self.server.readable()
            ready = select.select([port, disk], [], [], 0.2)[0]
            if port in ready:
                if not self._lines(on_line):
                    return until()
                continue
            if disk in ready:
                self.server.serve_one()
            if time.monotonic() > deadline or (not ready and self.process.poll() is not None):
                return False
        return True

    def cut(self, on_line):
        """The power goes: the machine is gone between two instructions. What it had told before was told."""
        self.process.kill()
        self.process.wait()
        if self.console:
            self.console.settimeout(10)
            while self._lines(on_line):
                pass
            self.console.close()
        self.server.close()
        self.listener.close()

    def clean(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Machine:
    """A machine that has booted and not yet touched its disk, kept as a file: each life begins there. Where KVM runs the kernel, by KVM."""

    accelerators = ["kvm", "tcg"] if os.access("/dev/kvm", os.R_OK | os.W_OK) else ["tcg"]  # those that may run it

    def __init__(self, folder, kernel_folder, archive, blank):
        self.folder, self.state = folder, archive + ".state"
        arguments = ["-kernel", vmlinux(kernel_folder), "-initrd", archive,
                     "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1 mitigations=off nokaslr net.ifnames=0"]
        why = []
        for self.accelerator in list(self.accelerators):
            g = Guest(folder, self.accelerator, arguments, blank)
            try:
                if self._boot(g):
                    return
                print("# %s does not run this kernel here" % self.accelerator, flush=True)
                self.accelerators.remove(self.accelerator)
                why.append("%s: %s %s" % (self.accelerator, g.text("qemu")[-300:], g.text("serial")[-300:]))
            finally:
                g.cut(lambda line: None)
                g.clean()
        raise Missing("the kernel does not come up: " + "; ".join(why))

    def patience(self):
        """What limits of time are multiplied with: emulation is slow."""
        return 1 if self.accelerator == "kvm" else 6

    def _boot(self, g):
        ready = []
        started = time.monotonic()

        def over():
            mute = time.monotonic() - started > SIGN_OF_LIFE_S and not os.path.getsize(g.serial)
            return ready or mute
        if not g.run(ready.append, over, BOOT_S) or ready != ["ready"]:
            return False
        keeper = threading.Thread(target=self._keep, args=(g,))
        keeper.start()
        g.run(ready.append, lambda: not keeper.is_alive(), BOOT_S)
        return os.path.exists(self.state)

    def _keep(self, g):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(g.folder + "/qmp")
            f = s.makefile("rw")

            def call(name, **arguments):
                f.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
                f.flush()
                while True:
                    reply = json.loads(f.readline())
                    if "return" in reply or "error" in reply:
                        return reply
            f.readline()
            call("qmp_capabilities")
            call("migrate-set-parameters", **{"max-bandwidth": 1 << 33})
            call("migrate", uri="exec:cat >" + self.state + ".new")
            while call("query-migrate").get("return", {}).get("status") not in ("completed", "failed"):
                time.sleep(0.05)
            if call("query-migrate")["return"]["status"] == "completed":
                os.rename(self.state + ".new", self.state)

    def wake(self, disk, fs, mode, port, bugs=""):
        """A life of its own."""
        g = Guest(self.folder, self.accelerator, ["-incoming", "exec:cat " + self.state], disk)
        g.order = "%d %s %s %s %d %s" % (time.time(), uuid.uuid4(), fs, mode, port, bugs)
        return g
