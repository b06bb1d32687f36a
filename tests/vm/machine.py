"""The Debian 13 machine of cross/image.sh under QEMU, with the cross-built pageferry installed as `make install` does; commands run in it as root."""
import atexit
import base64
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import suite

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QEMU = "qemu-system-aarch64"
BOOT_S = 300    # until the first command has run: emulated, on a busy machine
COMMAND_S = 120
TUNNELS = 8


class Failed(Exception):
    """A command in the machine ended with another status than 0; the text has its output."""


def end_with_us():
    """In the child: nothing is left running, however this program ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def installed(folder):
    """What goes into the machine besides the image: pageferry as installed, and what the tests of the machine need."""
    root = os.path.join(folder, "root")
    subprocess.run(["make", "-s", "-C", ROOT, "ARCH=arm64", "install", "DESTDIR=" + root], check=True, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT, env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")})
    return root


class Machine:
    """`with Machine(files={"/pages/a.yuyv": b"..."}) as m: m.run("uname -a")`. The image is not changed: what is written goes to a copy that ends with it.
    It has no network; each of /dev/virtio-ports/tunnel.* is a connection to tunnel=PORT of this one, good for one time."""

    def __init__(self, files=None, tunnel=None):
        if not shutil.which(QEMU):
            raise suite.Skip("%s is not here: ./bootstrap.sh setup vm" % QEMU)
        self.folder = tempfile.mkdtemp(prefix="pageferry-vm-", dir="/tmp")
        self.process = self.port = None
        self.number, self.rest = 0, b""
        atexit.register(self.stop)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        image = subprocess.run([os.path.join(ROOT, "cross/image.sh")], check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout.strip()
        self._pack(files or {})
        self._start(image, tunnel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _pack(self, files):
        root = installed(self.folder)
        for path, content in files.items():
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            with open(root + path, "wb") as f:
                f.write(content)
        subprocess.run(["tar", "-c", "--owner=0", "--group=0", "--no-overwrite-dir", "-f", self.folder + "/files.tar", "-C", root, "."], check=True)
        shutil.rmtree(root)

    @staticmethod
    def _tunnels(port):
        return [word for n in range(TUNNELS if port else 0) for word in (
            "-chardev", "socket,id=tunnel%d,host=127.0.0.1,port=%d" % (n, port),
            "-device", "virtserialport,chardev=tunnel%d,name=tunnel.%d" % (n, n))]

    def _start(self, image, tunnel):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.folder + "/port")
        listener.listen(1)
        command = [QEMU, "-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024",
                   "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-monitor", "none",
                   "-kernel", image + "/vmlinuz", "-initrd", image + "/initrd.gz",
                   "-append", "console=ttyAMA0 root=/dev/vda rw quiet loglevel=4 systemd.show_status=0 mitigations=off nokaslr net.ifnames=0",
                   "-serial", "file:%s/console" % self.folder,
                   "-drive", "if=none,id=root,file=%s/root.img,format=raw,snapshot=on,cache=unsafe" % image, "-device", "virtio-blk-pci,drive=root",
                   "-drive", "if=none,id=files,file=%s/files.tar,format=raw,readonly=on" % self.folder, "-device", "virtio-blk-pci,drive=files",
                   "-device", "virtio-serial-pci", "-chardev", "socket,id=port,path=%s/port" % self.folder,
                   "-device", "virtserialport,chardev=port,name=pageferry", "-device", "virtio-rng-pci"] + self._tunnels(tunnel)
        with open(self.folder + "/qemu", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_us,
                                            env=dict(os.environ, TMPDIR=self.folder))
        listener.settimeout(30)
        try:
            self.port, _ = listener.accept()
        except socket.timeout as e:
            raise Failed("qemu does not start: " + self._text("qemu")) from e
        finally:
            listener.close()
        self.run("tar -x -f /dev/vdb -C / --no-same-owner --no-overwrite-dir && systemd-sysusers && systemd-tmpfiles --create pageferry.conf &&"
                 " systemctl daemon-reload", BOOT_S)

    def _text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def _line(self, seconds):
        deadline = time.monotonic() + seconds
        while b"\n" not in self.rest:
            self.port.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                data = self.port.recv(1 << 20)
            except socket.timeout:
                data = b""
            if not data:
                raise Failed("the machine says nothing more: " + self._text("console")[-2000:])
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def attempt(self, script, seconds=COMMAND_S):
        """Runs a script of bash; its exit status and output (bytes)."""
        self.number += 1
        self.port.sendall(b"%d %d %s\n" % (self.number, seconds, base64.b64encode(script.encode())))
        number, status, *output = self._line(seconds + 60).split(" ")
        assert int(number) == self.number, (number, self.number)
        return int(status), base64.b64decode(output[0] if output else "")

    def run(self, script, seconds=COMMAND_S):
        """The output, as text, of a script that must end well."""
        status, output = self.attempt(script, seconds)
        if status:
            raise Failed("%s\nended with %d: %s" % (script, status, output.decode(errors="replace")[-3000:]))
        return output.decode(errors="replace")

    def wait(self, script, seconds=COMMAND_S):
        """Runs it again and again until it ends well; its output then."""
        return self.run("while ! out=$(%s 2>&1); do sleep 0.2; done; echo \"$out\"" % script, seconds)

    def read(self, path):
        status, content = self.attempt("cat '%s'" % path)
        assert status == 0, content
        return content

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        if self.port:
            self.port.close()
        shutil.rmtree(self.folder, ignore_errors=True)
