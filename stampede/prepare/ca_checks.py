"""Whether the CA files that settings name are what they must be: certificates in PEM, of which TLS accepts each.

TLS here is Python's, which since 3.13 follows RFC 5280 to the letter (``VERIFY_X509_STRICT``): it refuses many a CA
that curl and browsers take.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from stampede.machine.trust import certificates_in

KEY_USAGE = "keyUsage=critical,keyCertSign,cRLSign"
RECREATE = (
    f"create it anew with {KEY_USAGE}, such as with openssl req -x509 -newkey rsa:3072 -nodes -days 825 "
    f"-subj '/CN=Test CA' -keyout ca.key -out ca.pem -addext {KEY_USAGE}"
)
"""What helps when a CA is not as RFC 5280 wants it. OpenSSL adds the other extensions by itself."""

LARGEST = 10_000_000
"""Bytes of a CA file; a whole system's are 200 kB."""

_ADVICE = {
    "key usage": f"its CA cannot be used as it is: {RECREATE}, and sign the server's certificate with it",
    "critical": f"its CA cannot be used as it is: {RECREATE}, and sign the server's certificate with it",
    "key identifier": "the certificate, or its CA's, must be created anew with subject and authority key identifiers",
    "expired": "the server's certificate, or its CA's, must be renewed",
    "not yet valid": "look at the clocks of this machine and of the server",
    "mismatch": "the URL must have a name for which the certificate was made",
}
"""What helps, by words of OpenSSL's reason for not trusting a server."""


def ca_file_problems(files: Mapping[str, str]) -> list[str]:
    """A sentence for each CA file that cannot be used; ``files`` are named by their variables."""
    return [
        f"{variable} is {file!r}, {problem}"
        for variable, file in files.items()
        if file and (problem := _unusable(Path(file)) or _useless(Path(file)))
    ]


def ca_file_warnings(files: Mapping[str, str]) -> list[str]:
    """A sentence for each file that can be used, and holds certificates that make no CA."""
    return [
        f"{variable} is {file!r}, {fault}"
        for variable, file in files.items()
        if file and not (_unusable(Path(file)) or _useless(Path(file))) and (fault := _first_fault(Path(file)))
    ]


def tls_advice(reason: str, otherwise: str) -> str:
    """What helps against OpenSSL's ``reason`` for not trusting a server, when that is more than an unknown CA."""
    return next((advice for words, advice in _ADVICE.items() if words in reason.lower()), otherwise)


def _unusable(file: Path) -> str:
    """Why a file does not hold certificates, and those alone; empty when it does."""
    if file.exists() and not (file.is_file() and file.stat().st_size <= LARGEST):
        return f"which is no file of at most {LARGEST:,} bytes; it must be a PEM file that can be read"
    try:
        content = file.read_bytes()
    except OSError as error:
        return f"which cannot be read ({error.strerror}); it must be a PEM file that can be read"
    if b"PRIVATE KEY-----" in content:
        return (
            "which holds a private key, and would be copied to the load hosts; it must be a PEM file with "
            "certificates alone"
        )
    found = certificates_in(content)
    if not found and content[:1] == b"\x30":
        return f"which is in DER; it must be a PEM file: openssl x509 -inform DER -in {file} -out {file.stem}.pem"
    if not found:
        return "which holds no certificate; it must be a PEM file that can be read, with -----BEGIN CERTIFICATE-----"
    for number, certificate in enumerate(found, 1):
        try:
            _parsed(certificate)
        except ValueError:
            return f"whose certificate {number} of {len(found)} is damaged; it must be a PEM file that can be read"
    return ""


def _useless(file: Path) -> str:
    """Why none of a file's certificates helps to trust anybody; empty when one does."""
    usable = (
        not _outdated(certificate) and (_is_leaf(certificate) or not _fault(certificate))
        for certificate in _certificates(file)
    )
    return "" if any(usable) else _first_fault(file)


def _first_fault(file: Path) -> str:
    """Which certificates of a file make no CA, and what is wrong with the first; empty when all do."""
    certificates = _certificates(file)
    faults = [(certificate, fault) for certificate in certificates if (fault := _fault(certificate))]
    if not faults:
        return ""
    certificate, fault = faults[0]
    name = repr(certificate.subject.rfc4514_string() or "without a subject")
    if len(certificates) == 1:
        return f"in which the certificate {name} {fault}"
    return f"of whose {len(certificates)} certificates {len(faults)} make no CA, the first {name} {fault}"


def _fault(certificate: x509.Certificate) -> str:
    """What is wrong with a certificate as a CA's, to follow its name, and what helps; empty when nothing is."""
    if outdated := _outdated(certificate):
        return outdated
    if _is_leaf(certificate):
        return (
            "is not that of a certificate authority: only a server that shows this very certificate is trusted; name "
            "the CA's own certificate"
        )
    if lacking := ", ".join(_lacking(certificate)):
        return f"{lacking}, so that TLS refuses it (RFC 5280; Python 3.13 and newer insist on it); {RECREATE}"
    return ""


def _outdated(certificate: x509.Certificate) -> str:
    now = datetime.datetime.now(datetime.UTC)
    if certificate.not_valid_after_utc < now:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}; replace it by one that is valid"
    if certificate.not_valid_before_utc > now:
        return f"is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on; look at the clock here"
    return ""


def _lacking(certificate: x509.Certificate) -> Iterator[str]:
    """What OpenSSL's strict check misses in a CA's certificate (``check_extensions`` in its x509_vfy.c)."""
    if certificate.version is not x509.Version.v3:
        yield "has no extensions (X.509 version 1)"
        return
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None:
        yield "has no keyUsage"
    elif not usage.value.key_cert_sign:
        yield "has a keyUsage without keyCertSign"
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints and not constraints.critical:
        yield "has basicConstraints that are not marked critical"
    if _extension(certificate, x509.SubjectKeyIdentifier) is None:
        yield "has no subjectKeyIdentifier"


def _is_leaf(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return certificate.version is x509.Version.v3 and not (constraints and constraints.value.ca)


def _extension[T: x509.ExtensionType](certificate: x509.Certificate, kind: type[T]) -> x509.Extension[T] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _certificates(file: Path) -> list[x509.Certificate]:
    return [_parsed(certificate) for certificate in certificates_in(file.read_bytes())]


def _parsed(certificate: str) -> x509.Certificate:
    """Raises ValueError for what is none, or whose extensions cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # such as serial numbers of zero: used anyway
        parsed = x509.load_pem_x509_certificate(certificate.encode("latin-1"))
        len(parsed.extensions)
        return parsed
