#!/usr/bin/python3
"""Writes the keys and certificates of tests/data/x509, for the unit tests: `make_x509.py FOLDER`. They stand for nothing real.

ec.key is the key of RFC 6979, A.2.5, whose signatures are known; rsa.sig is what openssl signs with rsa.key.
"""
import datetime
import os
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

folder = sys.argv[1]
PEM = serialization.Encoding.PEM
PLAIN = serialization.NoEncryption()
SEC1 = serialization.PrivateFormat.TraditionalOpenSSL
PKCS8 = serialization.PrivateFormat.PKCS8


def put(name, data):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def put_key(name, key, form=PKCS8, encryption=PLAIN):
    put(name, key.private_bytes(PEM, form, encryption))


def name(cn):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def certificate(cn, key, issuer, issuer_key, serial, ca=False, first=2026, last=2046):
    return (x509.CertificateBuilder().subject_name(name(cn)).issuer_name(name(issuer)).public_key(key.public_key()).serial_number(serial)
            .not_valid_before(datetime.datetime(first, 1, 2, 3, 4, 5)).not_valid_after(datetime.datetime(last, 12, 31, 23, 59, 59))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True).sign(issuer_key, hashes.SHA256())
            .public_bytes(PEM))


device = ec.derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1())
root, middle = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
big = rsa.generate_private_key(65537, 2048)
put_key("ec.key", device, SEC1)
put_key("ec-pkcs8.key", device)
put_key("ec-password.key", device, PKCS8, serialization.BestAvailableEncryption(b"secret"))
put_key("p384.key", ec.generate_private_key(ec.SECP384R1()))
put_key("ed25519.key", ed25519.Ed25519PrivateKey.generate())
put_key("rsa.key", big)
put_key("rsa-pkcs1.key", big, SEC1)
put_key("rsa1024.key", rsa.generate_private_key(65537, 1024))
serial = 0x7FEDCBA9876543210FEDCBA9876543210FEDCBA9  # twenty bytes, the longest that RFC 5280 allows
leaf = certificate("scanner-1", device, "Middle", middle, serial)
put("ec.pem", leaf)
put("chain.pem", leaf + certificate("Middle", middle, "Root", root, 2, ca=True))
put("root.pem", certificate("Root", root, "Root", root, 1, ca=True))
put("rsa.pem", certificate("scanner-2", big, "Middle", middle, 255))
put("expired.pem", certificate("scanner-1", device, "Middle", middle, 3, first=2020, last=2021))
put("seven.pem", leaf * 7)
with open(os.path.join(folder, "rsa.sig"), "wb") as f:
    subprocess.run(["openssl", "dgst", "-sha256", "-sign", os.path.join(folder, "rsa.key")], input=b"sample", stdout=f, check=True)
print(serial)
