"""Opens a Web Push as a browser would, with a library that is not ours, and checks who has signed it.

Arguments: the browser's private key and secret, the header `authorization`. The body comes on the standard input.
"""

import base64
import json
import sys

import http_ece
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils


def read(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


private, secret, authorization = sys.argv[1:]
key = ec.derive_private_key(int.from_bytes(read(private), "big"), ec.SECP256R1())
plain = http_ece.decrypt(sys.stdin.buffer.read(), private_key=key, auth_secret=read(secret), version="aes128gcm")

scheme, parameters = authorization.split(" ", 1)
assert scheme == "vapid", scheme
named = dict(part.strip().split("=", 1) for part in parameters.split(","))
head, claims, signature = named["t"].split(".")
raw = read(signature)
signature = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), read(named["k"]))
public.verify(signature, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
assert json.loads(read(head)) == {"typ": "JWT", "alg": "ES256"}

print(json.dumps({"note": json.loads(plain), "claims": json.loads(read(claims)), "key": named["k"]}))
