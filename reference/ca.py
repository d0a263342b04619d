"""A certificate authority created at start, and the gateway's TLS context."""

import os
import ssl
from pathlib import Path

import trustme


class Authority:
    """Issues the gateway's certificate and writes the CA files with which clients verify it.

    `ca_file` holds the CA's certificate alone; `trust_file` adds this machine's own trusted certificates, for
    processes that take a single file (SSL_CERT_FILE).
    """

    def __init__(self, folder: Path, host: str) -> None:
        """Create the CA and a server certificate for `host`, localhost and the loopback addresses."""
        names = list(dict.fromkeys([host, "localhost", "127.0.0.1", "::1"]))
        authority = trustme.CA(organization_name="Stampede reference services")
        self._server = authority.issue_cert(*names, common_name=host)
        self.ca_file = folder / "ca.pem"
        self.trust_file = folder / "trust.pem"
        certificate = authority.cert_pem.bytes()
        self.ca_file.write_bytes(certificate)
        self.trust_file.write_bytes(certificate + _system_certificates())

    def server_context(self) -> ssl.SSLContext:
        """The gateway's TLS context."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._server.configure_cert(context)
        return context


def _system_certificates() -> bytes:
    path = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if not path or not Path(path).is_file():
        return b""
    return Path(path).read_bytes()
