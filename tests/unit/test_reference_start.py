"""What the reference services tell while they start."""

from __future__ import annotations

from pathlib import Path

from reference.services import Options, Services


async def test_what_is_told_is_what_is_awaited(tmp_path: Path) -> None:
    said: list[str] = []
    services = Services(Options(tmp_path, 9443, "localhost", 100, 0.0), said.append)
    try:
        for name, doing in (("verifier", ""), ("issuer", "creates its keys"), ("mediator", ""), ("issuer", "")):
            services._told(name, doing)
    finally:
        await services.stop()
    assert said == [
        "the issuer starts, the mediator starts",
        "the issuer creates its keys, the mediator starts",
        "the issuer creates its keys",
    ]
