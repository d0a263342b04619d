"""Sessions of requests on Stampede's terms: which certificate authorities count, and nothing of the environment's."""

from __future__ import annotations

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from stampede.machine.trust import tls_context


class WebSession(requests.Session):
    """A session that trusts this machine's CAs and those of ``ca_files``, and nothing else; it uses no proxy and no
    login of ``~/.netrc``.

    Raises OSError for a CA file that cannot be used.
    """

    def __init__(self, *ca_files: str) -> None:
        super().__init__()
        self.trust_env = False
        self.mount("https://", _Adapter(*ca_files))


class _Adapter(HTTPAdapter):
    def __init__(self, *ca_files: str) -> None:
        self._context = tls_context(*ca_files)
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The context verifies; requests would add certifi's CAs to it."""
        conn.cert_reqs = "CERT_REQUIRED"
