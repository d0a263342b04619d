"""As much of the Hetzner Cloud API as hetzner.hcloud and its inventory ask for. In memory, on loopback.

https://docs.hetzner.cloud/reference/cloud
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "hetzner-token-for-tests"
NOW = "2026-01-01T00:00:00+00:00"
LOCATION = {
    "id": 1,
    "name": "fsn1",
    "description": "",
    "country": "DE",
    "city": "Falkenstein",
    "latitude": 0,
    "longitude": 0,
    "network_zone": "eu-central",
}
ELSEWHERE = LOCATION | {"id": 2, "name": "ash", "city": "Ashburn", "network_zone": "us-east"}
IMAGE = {
    "id": 1,
    "type": "system",
    "status": "available",
    "name": "debian-13",
    "description": "Debian 13",
    "image_size": None,
    "disk_size": 5,
    "created": NOW,
    "created_from": None,
    "bound_to": None,
    "os_flavor": "debian",
    "os_version": "13",
    "rapid_deploy": True,
    "protection": {"delete": False},
    "deprecated": None,
    "labels": {},
    "deleted": None,
    "architecture": "x86",
}


def sold_in(location: dict[str, Any], available: bool = True, until: str = "") -> dict[str, Any]:
    """What a type of server says of a location: whether it can be ordered there, and until when."""
    deprecation = {"announced": "2025-01-01T00:00:00Z", "unavailable_after": until} if until else None
    return {
        "id": location["id"],
        "name": location["name"],
        "available": available,
        "recommended": not until,
        "deprecation": deprecation,
    }


PRICE = {"net": "0.0500", "gross": "0.0595"}
TYPE = {
    "id": 1,
    "name": "cpx32",
    "description": "",
    "cores": 4,
    "memory": 8.0,
    "disk": 160,
    "deprecated": False,
    "storage_type": "local",
    "cpu_type": "shared",
    "architecture": "x86",
    "included_traffic": 0,
    "deprecation": None,
    "locations": [sold_in(LOCATION), sold_in(ELSEWHERE)],
    "category": "regular",
    "prices": [{"location": "fsn1", "price_hourly": PRICE, "price_monthly": PRICE}],
}
OLD = TYPE | {
    "id": 2,
    "name": "cpx31",
    "locations": [sold_in(LOCATION, until="2025-12-09T09:00:00Z"), sold_in(ELSEWHERE)],
}
SOLD_OUT = TYPE | {"id": 3, "name": "cx33", "locations": [sold_in(LOCATION, available=False)]}
NETWORK = {
    "id": 1,
    "name": "inside",
    "ip_range": "10.0.0.0/8",
    "subnets": [],
    "routes": [],
    "servers": [],
    "labels": {},
    "protection": {"delete": False},
    "created": NOW,
    "expose_routes_to_vswitch": False,
}
OTHER_NETWORK = NETWORK | {"id": 2, "name": "others"}


class HetznerApi:
    """A project of somebody's at Hetzner; servers get addresses from ``first`` on."""

    def __init__(self, first: str = "192.0.2.11") -> None:
        self.first = ipaddress.ip_address(first)
        self.ids = itertools.count(100)
        self.quota = 100
        """How many servers the project may have."""
        self.fault = 0
        self.kept = ""
        """What nothing of is removed."""
        """The status with which each request is answered, unless it is 0."""
        self.lock = threading.Lock()
        self.tables: dict[str, dict[int, dict[str, Any]]] = {
            **{
                name: {}
                for name in ("servers", "ssh_keys", "firewalls", "actions", "placement_groups", "primary_ips")
            },
            "locations": {1: LOCATION, 2: ELSEWHERE},
            "images": {1: IMAGE},
            "server_types": {1: TYPE, 2: OLD, 3: SOLD_OUT},
            "networks": {1: NETWORK, 2: OTHER_NETWORK},
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def end(self, number: int) -> None:
        """Remove a server, as somebody does in the console."""
        with self.lock:
            self.tables["servers"].pop(number)

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        """Status and answer of a request."""
        url = urlsplit(path)
        match = re.fullmatch(r"/v1/(\w+)(?:/(\d+))?(/actions(?:/\w+)?)?", url.path)
        if self.fault:
            code = "server_error" if self.fault >= 500 else "forbidden"
            return self.fault, error(code, "the request was not fulfilled")
        if not match or match[1] not in self.tables:
            return 404, error("not_found", url.path)
        kind, number, action = match[1], int(match[2] or 0), match[3]
        one, table = kind.removesuffix("s"), self.tables[kind]
        if number and number not in table:
            return 404, error("not_found", f"{one} with ID '{number}' not found")
        if action and number:
            if "rules" in body:
                table[number]["rules"] = [whole_rule(rule) for rule in body["rules"]]
            return 201, {"actions": [self._action(action)], "action": self._action(action)}
        if method == "GET" and number:
            return 200, {one: table[number]}
        if method == "GET":
            rows = [row for row in table.values() if selected(row, parse_qs(url.query))]
            pages = {"page": 1, "per_page": 50, "previous_page": None, "next_page": None, "last_page": 1}
            return 200, {kind: rows, "meta": {"pagination": pages | {"total_entries": len(rows)}}}
        if method == "DELETE" and kind == self.kept:
            return 403, error("forbidden", "insufficient permissions for this request")
        if method == "DELETE":
            table.pop(number)
            return (200, {"action": self._action("delete")}) if kind == "servers" else (204, None)
        if method == "PUT":
            table[number] |= body
            return 200, {one: table[number]}
        return self._make(kind, one, body)

    def _make(self, kind: str, one: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        table = self.tables[kind]
        if any(row["name"] == body["name"] for row in table.values()):
            return 409, error("uniqueness_error", f"{one} name is already used")
        if kind == "servers" and len(table) >= self.quota:
            return 403, error("resource_limit_exceeded", "server limit exceeded")
        number = next(self.ids)
        common = {"id": number, "labels": {}, "created": NOW}
        if kind == "servers":
            made = self._server_of(number, body)
        elif kind == "ssh_keys":
            made = common | {"fingerprint": f"b7:2f:{number:02x}"} | body
        else:
            made = common | body | {"applied_to": [], "rules": [whole_rule(rule) for rule in body.get("rules", [])]}
        table[number] = made
        more = {"next_actions": [], "root_password": None} if kind == "servers" else {"actions": []}
        return 201, {one: made, "action": self._action("create")} | more

    def _server_of(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        used = {row["public_net"]["ipv4"]["ip"] for row in self.tables["servers"].values()}
        address = next(ip for ip in (str(self.first + more) for more in range(200)) if ip not in used)
        firewalls = [{"id": each["firewall"], "status": "applied"} for each in body.get("firewalls") or ()]
        ipv4 = {"id": number, "ip": address, "blocked": False, "dns_ptr": ""}
        return {
            "id": number,
            "name": body["name"],
            "status": "running",
            "created": NOW,
            "image": IMAGE,
            "labels": body.get("labels") or {},
            "server_type": TYPE,
            "location": LOCATION,
            "datacenter": None,
            "iso": None,
            "rescue_enabled": False,
            "locked": False,
            "backup_window": None,
            "outgoing_traffic": None,
            "ingoing_traffic": None,
            "included_traffic": 0,
            "volumes": [],
            "load_balancers": [],
            "protection": {"delete": False, "rebuild": False},
            "primary_disk_size": 160,
            "placement_group": None,
            "private_net": [
                {"network": each, "ip": f"10.{each}.0.2", "alias_ips": [], "mac_address": ""}
                for each in body.get("networks") or ()
            ],
            "user_data": body.get("user_data"),
            "public_net": {"ipv4": ipv4, "ipv6": None, "floating_ips": [], "firewalls": firewalls},
        }

    def _action(self, command: str) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": next(self.ids),
            "command": command,
            "status": "success",
            "progress": 100,
            "started": NOW,
            "finished": NOW,
            "resources": [],
            "error": None,
        }
        self.tables["actions"][made["id"]] = made
        return made


def error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": None}}


def whole_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule of a firewall as it is answered."""
    return {"description": None, "port": None, "source_ips": [], "destination_ips": []} | rule


def selected(row: dict[str, Any], query: dict[str, list[str]]) -> bool:
    """Whether a row is among those that a list asks for."""
    for key in ("name", "fingerprint", "architecture"):
        if key in query and row.get(key) != query[key][0]:
            return False
    if "status" in query and row.get("status") not in query["status"]:
        return False
    labels: dict[str, str] = row.get("labels", {})
    selector = query.get("label_selector", [""])[0]
    return all(_has(labels, each) for each in re.split(r",(?![^(]*\))", selector))


def _has(labels: dict[str, str], condition: str) -> bool:
    if among := re.fullmatch(r"(\S+) in \((.*)\)", condition):
        return labels.get(among[1]) in among[2].split(",")
    key, _, value = condition.partition("=")
    return not key or (key in labels and (not value or labels[key] == value))


def _handler(api: HetznerApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def go(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status, found = 401, error("unauthorized", "unable to authenticate")
            else:
                with api.lock:
                    status, found = api.answer(self.command, self.path, body)
                    raw = b"" if found is None else json.dumps(found).encode()
            raw = b"" if found is None else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = do_DELETE = go

    return Handler
