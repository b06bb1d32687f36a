"""Who is on a hostile network, in a network and mount namespace of its own: its names, those who sit in the way, another machine on a link."""
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

from service import Service
from standin_aws import HOST, BedrockStandin, make_ca

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EVIL = "evil.example"


def sh(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Names:
    """A DNS server on 127.0.0.53: `answers` maps a name to an IPv4 address; others are NXDOMAIN."""

    def __init__(self):
        self.answers, self.asked, self.held = {}, [], None  # held: an event before which nothing is answered
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.53", 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            query, peer = self.socket.recvfrom(4096)
            at, labels = 12, []
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, kind, end = ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0], at + 5
            self.asked.append(name)
            if self.held:
                self.held.wait(60)
            address = self.answers.get(name)
            found = address is not None and kind == 1
            head = query[:2] + struct.pack(">HHHHH", 0x8180 if address else 0x8183, 1, 1 if found else 0, 0, 0)
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(address) if found else b""
            self.socket.sendto(head + query[12:end] + answer, peer)


class Attacker:
    """Listens on ADDRESS:443 and does `act` with each connection; `tls` is shown first if it is given."""

    def __init__(self, act, tls=None, address="127.0.0.1", port=443):
        self.act, self.tls, self.seen, self.connections = act, tls, b"", 0
        self.changed = threading.Condition()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def note(self, data):
        with self.changed:
            self.seen += data
            self.changed.notify_all()
        return data

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self.changed:
                self.connections += 1
                self.changed.notify_all()
            threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def one(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            connection.settimeout(60)
            self.act(self, connection)
        except OSError:
            pass
        connection.close()

    def request(self, connection):
        """Reads a whole request."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.note(connection.recv(65536)) or b"\r\n\r\n"
        length = re.search(rb"(?i)content-length: (\d+)", data)
        left = int(length.group(1)) - len(data.split(b"\r\n\r\n", 1)[1]) if length else 0
        while left > 0:
            more = self.note(connection.recv(65536))
            if not more:
                break
            left -= len(more)

    def wait(self, connections):
        with self.changed:
            assert self.changed.wait_for(lambda: self.connections >= connections, 60), "nobody came"


class World:
    """The namespace's names and certificates; the genuine stand-in is made, and listens when it is started."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pageferry-hostile-", dir="/tmp")
        self.made = {}
        self.names = Names()
        self.names.answers = {HOST: "127.0.0.1", EVIL: "127.0.0.3"}
        self.aws = BedrockStandin(self.sub("aws"))
        self.aws.port = 443
        trusted = [self.aws.ca_file, self.certificate("other", "DNS:other.example")[0], self.certificate("evil", "DNS:" + EVIL)[0]]
        self.certificate("own", "DNS:" + HOST)
        self.made["expired"] = self.expired()
        bundle = os.path.join(self.folder, "bundle")
        with open(bundle, "w", encoding="ascii") as out:
            for path in trusted:
                with open(path, encoding="ascii") as f:
                    out.write(f.read())
        self.lay(bundle, "/etc/ssl/certs/ca-certificates.crt")
        self.lay_text("nameserver 127.0.0.53\noptions timeout:1 attempts:1\n", "/etc/resolv.conf")
        self.lay_text("127.0.0.1 localhost\n", "/etc/hosts")
        self.lay_text("hosts: files dns\n", "/etc/nsswitch.conf")
        self.keys = os.path.join(self.folder, "keys")
        with open(self.keys, "w", encoding="ascii") as f:
            f.write("[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = %s\n" % SECRET)
        os.chmod(self.keys, 0o600)

    def sub(self, name):
        os.mkdir(os.path.join(self.folder, name))
        return os.path.join(self.folder, name)

    def certificate(self, name, *names):
        self.made[name] = make_ca(self.sub(name), names)
        return self.made[name]

    def expired(self):
        """Of the trusted authority and the right name, until yesterday."""
        aws, key, cert = os.path.join(self.folder, "aws"), os.path.join(self.folder, "expired.key"), os.path.join(self.folder, "expired.pem")
        sh("openssl", "req", "-config", aws + "/x509.cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
           "-out", cert + ".csr", "-subj", "/CN=Expired")
        sh("openssl", "x509", "-req", "-in", cert + ".csr", "-CA", aws + "/ca.pem", "-CAkey", aws + "/ca.key", "-CAcreateserial", "-out", cert,
           "-days", "-1", "-extfile", aws + "/x509.cnf", "-extensions", "server")
        assert subprocess.run(["openssl", "x509", "-checkend", "0", "-noout", "-in", cert], capture_output=True, check=False).returncode == 1
        return None, cert, key

    def lay(self, path, over):
        sh("mount", "--bind", path, os.path.realpath(over))

    def lay_text(self, text, over):
        path = os.path.join(self.folder, os.path.basename(over))
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        self.lay(path, over)

    def tls(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.made[name][1:])
        return context

    def genuine_tls(self):
        return self.aws.tls

    def slow_names(self, seconds):
        """How long names are waited for."""
        with open(os.path.join(self.folder, "resolv.conf"), "r+", encoding="ascii") as f:
            f.write("nameserver 127.0.0.53\noptions timeout:%d attempts:1\n" % seconds)
            f.truncate()

    def service(self, timeout="2s", connect="2s"):
        return Service({"Service": {}, "Route": {"Backends": "sydney"}, "Credentials keys": {"Source": "file", "File": self.keys},
                        "Backend sydney": {"Kind": "bedrock", "Credentials": "keys", "Backoff": "100ms", "BackoffMax": "200ms", "Timeout": timeout,
                                           "ConnectTimeout": connect, "Tries": "50", "FallbackAfter": "1h"}})


HOUSE = """
import re, socket, subprocess, sys
sys.stdin.readline()
for words in %r:
    subprocess.run(words, check=True)
listener = socket.create_server(("0.0.0.0", 8080))
print("ready", flush=True)
while True:
    c, _ = listener.accept()
    c.settimeout(30)
    data = b""
    try:
        while b"\\r\\n\\r\\n" not in data:
            data += c.recv(65536) or b"\\r\\n\\r\\n"
        length = re.search(rb"(?i)content-length: (\\d+)", data)
        left = int(length.group(1)) - len(data.split(b"\\r\\n\\r\\n", 1)[1]) if length else 0
        while left > 0:
            data += c.recv(65536)
            left = 0 if not data else int(length.group(1)) - len(data.split(b"\\r\\n\\r\\n", 1)[1])
        c.sendall(b"HTTP/1.1 503 Loading\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    except OSError:
        pass
    print("page" if b"/9j/" in data else "other", flush=True)
    c.close()
"""


class House:
    """Another machine at the far end of a link of its own: `near` is ours. `seen`: what came to it, a word a connection."""

    def __init__(self, near, ours, *theirs):
        far = near + "-far"
        words = [["ip", "link", "set", "lo", "up"]] + [["ip", "addr", "add", a, "dev", far] for a in theirs] + [["ip", "link", "set", far, "up"]]
        self.seen = []
        self.process = subprocess.Popen(["unshare", "-n", sys.executable, "-c", HOUSE % words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii")
        sh("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        while os.readlink("/proc/%d/ns/net" % self.process.pid) == os.readlink("/proc/self/ns/net"):
            pass  # it has not left yet
        sh("ip", "link", "set", far, "netns", str(self.process.pid))
        sh("ip", "addr", "add", ours, "dev", near)
        sh("ip", "link", "set", near, "up")
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ready\n"
        threading.Thread(target=lambda: self.seen.extend(iter(self.read, "")), daemon=True).start()

    def read(self):
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
