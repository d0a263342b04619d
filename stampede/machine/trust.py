"""Which certificate authorities are trusted: this machine's own and those that a run names, everywhere alike.

This machine's are what OpenSSL takes by default: a bundle file and folders of files with hashed names, which
``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` replace. The bundle of the package certifi, and the variables that only some
libraries know (``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``), play no part.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")
_CERTIFICATE = re.compile(r"-----BEGIN (?:X509 )?CERTIFICATE-----[\x00-\x7f]*?-----END (?:X509 )?CERTIFICATE-----")


def tls_context(*ca_files: str) -> ssl.SSLContext:
    """A context that verifies certificates with this machine's CAs and those of ``ca_files``; '' stands for none.

    Raises OSError for a file that cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    for ca_file in filter(None, ca_files):
        context.load_verify_locations(ca_file)
    return context


def write_trust_file(path: Path, *ca_files: str) -> Path:
    """A PEM file with the CAs that ``tls_context`` trusts, for a process that takes a single file.

    Raises OSError for a file that cannot be read.
    """
    own = [certificate for file in filter(None, ca_files) for certificate in certificates_in(Path(file).read_bytes())]
    path.write_text("\n".join(dict.fromkeys([*own, *system_certificates()])) + "\n", encoding="latin-1")
    return path


def system_certificates() -> list[str]:
    """This machine's own CAs, in PEM. Files that OpenSSL would not read are left out, as it does itself."""
    trial, found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), dict[str, None]()
    for file in _system_files():
        with contextlib.suppress(OSError):
            for certificate in certificates_in(file.read_bytes()):
                with contextlib.suppress(ssl.SSLError, ValueError):
                    trial.load_verify_locations(cadata=certificate)
                    found[certificate] = None
    return list(found)


def certificates_in(content: bytes) -> list[str]:
    """The certificates of a PEM file, without the remarks around them."""
    return _CERTIFICATE.findall(content.decode("latin-1").replace("\r\n", "\n"))


def _system_files() -> Iterator[Path]:
    """The bundle, and the files of the folders that OpenSSL looks up by a hash of the CA's name."""
    paths = ssl.get_default_verify_paths()
    yield Path(os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile))
    for folder in os.environ.get(paths.openssl_capath_env, paths.openssl_capath).split(os.pathsep):
        if folder and Path(folder).is_dir():
            yield from sorted(
                file for file in Path(folder).iterdir() if _HASHED_NAME.fullmatch(file.name) and file.is_file()
            )
