#!/usr/bin/env python3
"""HTTPS on loopback for cloud_http.c: a self-signed certificate for bedrock.example in the folder argv[1].
With argv[2], a CA, clients must show a certificate from it, and the answer is its subject and the name they asked for.
Prints "PORT SHA256-OF-CERTIFICATE"; answers every request with the number of connections so far and a fixed Date."""
import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading

folder = sys.argv[1]
cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=bedrock.example", "-addext", "subjectAltName=DNS:bedrock.example", "-keyout", key, "-out", cert],
               check=True, stderr=subprocess.DEVNULL)
with open(cert) as f:
    der = ssl.PEM_cert_to_DER_cert(f.read())
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
asked = []
if len(sys.argv) > 2:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(sys.argv[2])
    context.sni_callback = lambda s, name, c: asked.append(name)
count = 0


def serve(plain):
    global count
    try:
        with context.wrap_socket(plain, server_side=True) as s:
            count += 1
            number = str(count)
            if asked:
                number = "%s %s %s" % (number, dict(p[0] for p in s.getpeercert()["subject"])["commonName"], asked[-1])
            data = b""
            while True:
                while not data.endswith(b"{}"):
                    piece = s.recv(65536)
                    if not piece:
                        return
                    data += piece
                data = b""
                s.sendall(("HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s"
                           % (len(number), number)).encode())
    except OSError:
        pass


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], hashlib.sha256(der).hexdigest(), flush=True)
while True:
    conn, _ = listener.accept()
    threading.Thread(target=serve, args=(conn,), daemon=True).start()
