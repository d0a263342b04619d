"""A certificate authority created at start, and the gateway's TLS context."""

import ssl
from pathlib import Path

import trustme

from stampede.machine.trust import write_trust_file


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
        authority.cert_pem.write_to_path(str(self.ca_file))
        write_trust_file(self.trust_file, str(self.ca_file))

    def server_context(self) -> ssl.SSLContext:
        """The gateway's TLS context."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._server.configure_cert(context)
        return context
