"""The proxies that this machine's environment names, of which Stampede makes no use.

A load test through a proxy measures the proxy, so services, mediators and InfluxDB are reached directly: by the
preflight, by controllers, and by agents, whose libraries would take a proxy from the environment even for loopback.
"""

from __future__ import annotations

from collections.abc import Mapping


def without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that shall use no proxy, nor a login of the user's own (``.netrc``)."""
    return {
        name: value for name, value in environment.items() if not name.lower().endswith("_proxy") and name != "NETRC"
    }


def proxy_notices(environment: Mapping[str, str]) -> list[str]:
    """A sentence when the environment names a proxy for HTTP or HTTPS."""
    kinds = {"http_proxy", "https_proxy", "all_proxy"}
    names = sorted(name for name, value in environment.items() if name.lower() in kinds and value)
    if not names:
        return []
    are = "is" if len(names) == 1 else "are"
    return [
        f"{', '.join(names)} {are} set, but a run uses no proxy: services, mediator and InfluxDB must be reachable "
        "directly, from here and from the load hosts"
    ]
