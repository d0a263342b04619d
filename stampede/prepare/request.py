"""Requests of the control node to services, on the same terms as those of load hosts.

The same certificate authorities are trusted, and neither proxies nor logins are taken from this machine's environment
and files (HTTPS_PROXY, REQUESTS_CA_BUNDLE, ~/.netrc).
"""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from stampede.machine.trust import tls_context


def session(*ca_files: str) -> requests.Session:
    """A session that trusts this machine's CAs and those of ``ca_files``, and nothing else.

    Raises OSError for a CA file that cannot be used.
    """
    made = requests.Session()
    made.trust_env = False
    made.mount("https://", _Adapter(*ca_files))
    return made


class _Adapter(HTTPAdapter):
    def __init__(self, *ca_files: str) -> None:
        self._context = tls_context(*ca_files)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context verifies; requests would add certifi's CAs to it."""
        conn.cert_reqs = "CERT_REQUIRED"
