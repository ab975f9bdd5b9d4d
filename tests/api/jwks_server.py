"""An issuer of tokens: its keys, the address that serves them, and what attackers make of both."""

import base64
import hmac
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Key:
    """A key pair of the issuer."""

    def __init__(self, kid: str | None, algorithm: str = "RS256", *, bits: int = 2048) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private: Private = {
            "RS256": lambda: rsa.generate_private_key(65537, bits),
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }[algorithm]()

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as an issuer publishes it."""
        public: Any = self.private.public_key()
        kinds: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
        described = json.loads(kinds[self.algorithm].to_jwk(public))
        described |= {"use": "sig", "alg": self.algorithm}
        return described | ({} if self.kid is None else {"kid": self.kid})

    @property
    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good token of the user me, but for what is given."""
        named = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(
            some_claims(**claims),
            self.private,
            algorithm=self.algorithm,
            headers={**named, **(headers or {})},
        )


def some_claims(**claims: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {"tenant": "default", "sub": "me", "exp": now + 600}
    return {name: value for name, value in {**good, **claims}.items() if value is not None}


def forged(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """A token that no library would make."""
    parts = [_base64(json.dumps(part).encode()) for part in (header, claims)]
    signed = ".".join(parts)
    signature = hmac.digest(secret, signed.encode(), sha256) if secret else b""
    return f"{signed}.{_base64(signature)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """What the address of the keys answers. `asked` counts the requests."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.document: Any = {"keys": []}
        self.status = 200
        self.asked = 0
        self.paths: list[str] = []
        self.go_on = Event()
        self.go_on.set()

    def publish(self, *keys: Key) -> None:
        self.document = {"keys": [key.jwk for key in keys]}


@contextmanager
def issuing() -> Generator[Issuer]:
    """An issuer on a free port."""
    made: list[Issuer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer = made[0]
            issuer.asked += 1
            issuer.paths.append(self.path)
            issuer.go_on.wait(10)
            text = issuer.document
            body = text if isinstance(text, bytes) else json.dumps(text).encode()
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.append(Issuer(f"http://127.0.0.1:{server.server_port}/keys.json"))
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made[0]
        made[0].go_on.set()
        server.shutdown()
        thread.join()
