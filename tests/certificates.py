"""Certificates for a test: an authority, a server's, a client's with a locked key, and another authority that nobody trusts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True)
class Certificates:
    """PEM files."""

    authority: Path
    stranger: Path
    #: Key and certificate in one file.
    server: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path, key_password: str) -> Certificates:
    """Write them into ``folder``."""
    ours, stranger = trustme.CA(), trustme.CA()
    server, client = ours.issue_cert("127.0.0.1", "localhost"), ours.issue_cert("worker@shop.example")
    files = Certificates(*(folder / f"{name}.pem" for name in ("authority", "stranger", "server", "client", "client-key")))
    ours.cert_pem.write_to_path(files.authority)
    stranger.cert_pem.write_to_path(files.stranger)
    files.server.write_bytes(_key(server, NoEncryption()) + _chain(server))
    files.client.write_bytes(_chain(client))
    files.client_key.write_bytes(_key(client, BestAvailableEncryption(key_password.encode())))
    return files


def _chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in certificate.cert_chain_pems)


def _key(certificate: trustme.LeafCert, locked: KeySerializationEncryption) -> bytes:
    # Java reads keys in PKCS 8 only, and trustme writes them otherwise.
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
