#!/usr/bin/python
"""Create a database and users in an InfluxDB 1.x of this host. Runs on the host, on its plain Python.

So no password leaves the host. The passwords are random and lie in a folder that only root reads, one file a user.
What each user may and may not do is tested by real writes and queries.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import ssl
import string
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: stampede_influxdb
short_description: create a database and users in an InfluxDB 1.x, or list the runs in it
description:
  - Each user gets one privilege on the one database and no other, and a random password.
options:
  state:
    description: V(asked) changes nothing and returns RV(runs).
    type: str
    choices: [present, asked]
    default: present
  url:
    description: URL of the server.
    type: str
    required: true
  ca_file:
    description: PEM file with further certificate authorities to trust; none when empty.
    type: str
    default: ""
  passwords:
    description: Folder that only root reads, with a file for each user's password.
    type: path
    required: true
  admin:
    description: Name of the administrator.
    type: str
    required: true
  database:
    description: Name of the database.
    type: str
    required: true
  retention:
    description: How long points are kept, such as V(30d), or V(INF).
    type: str
    default: INF
  users:
    description: Users of the database, each with its privilege, V(READ) or V(WRITE).
    type: dict
    default: {}
  host:
    description: Name of the host in messages.
    type: str
    required: true
author: The Stampede contributors
"""

EXAMPLES = r"""
- name: Create database and users
  stampede_influxdb:
    url: https://metrics-1.example.org:8086
    passwords: /etc/stampede/influxdb
    admin: admin
    database: stampede
    retention: 30d
    users: {stampede: WRITE, grafana: READ}
    host: "{{ inventory_hostname }}"
"""

RETURN = r"""
runs:
  description: Names of the runs of which the database holds points.
  type: list
  elements: str
  returned: for V(asked)
"""

PROBE = "stampede_probe"
"""Measurement of the point that is written, and dropped again, to try what users may do."""
READY_LIMIT = 120.0
"""Seconds that the server may take to answer: after a start it reads what it has not yet sorted in."""
UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
HOUR, DAY, WEEK = 3600, 86400, 604800


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "asked"], "default": "present"},
            "url": {"type": "str", "required": True},
            "ca_file": {"type": "str", "default": ""},
            "passwords": {"type": "path", "required": True, "no_log": False},  # a folder's name
            "admin": {"type": "str", "required": True},
            "database": {"type": "str", "required": True},
            "retention": {"type": "str", "default": "INF"},
            "users": {"type": "dict", "default": {}},
            "host": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    server = Server(wanted["url"], wanted["ca_file"])
    keeper = Keeper(server, Passwords(Path(wanted["passwords"])), wanted, dry=module.check_mode)
    try:
        if wanted["state"] == "asked":
            module.exit_json(changed=False, runs=keeper.runs())
        keeper.keep()
    except Problem as problem:
        module.fail_json(msg=f"InfluxDB on {wanted['host']}: {problem}")
    module.exit_json(
        changed=bool(keeper.changes), diff={"prepared": "".join(f"+ {line}\n" for line in keeper.changes)}
    )


class Problem(Exception):
    """Why the server cannot be made right, in words for people."""


class Answer(Problem):
    """The server refused; ``status`` is that of HTTP."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"it answered {status}: {reason}")
        self.status = status


class Untrusted(Problem):
    """The server's certificate is not one to be trusted."""


class Server:
    """The server's HTTP API."""

    def __init__(self, url: str, ca_file: str) -> None:
        self._url = url
        tls = ssl.create_default_context(cafile=ca_file or None) if url.startswith("https:") else None
        handlers = [urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=tls)] if tls else [])]
        self._open = urllib.request.build_opener(*handlers).open

    def await_ready(self) -> None:
        """Return when it answers. Raises Problem."""
        deadline = time.monotonic() + READY_LIMIT
        while True:
            try:
                self._ask("/ping", None, None)
            except (Answer, Untrusted):
                raise
            except Problem:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def query(self, words: str, user: tuple[str, str] | None, database: str = "") -> list[dict[str, Any]]:
        """The rows of a statement, by column. The statement goes in the body, which no log shows. Raises Problem."""
        body = urllib.parse.urlencode({"q": words, "db": database}).encode()
        result = json.loads(self._ask("/query", body, user))["results"][0]
        if "error" in result:
            raise Problem(str(result["error"]))
        return [
            dict(zip(series["columns"], values, strict=True))
            for series in result.get("series", ())
            for values in series.get("values", ())
        ]

    def write(self, database: str, line: str, user: tuple[str, str]) -> None:
        """Write a point. Raises Problem."""
        self._ask(f"/write?{urllib.parse.urlencode({'db': database})}", line.encode(), user)

    def _ask(self, path: str, body: bytes | None, user: tuple[str, str] | None) -> bytes:
        request = urllib.request.Request(self._url + path, data=body)  # noqa: S310 (the role's own URL)
        if user:
            request.add_header("Authorization", "Basic " + base64.b64encode(":".join(user).encode()).decode())
        try:
            with self._open(request, timeout=30) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace").strip()
            with contextlib.suppress(ValueError, KeyError, TypeError):
                text = json.loads(text)["error"]
            raise Answer(error.code, text or str(error.reason)) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise Untrusted(
                    f"its certificate is not trusted for {self._url} ({reason.verify_message}); "
                    "see stampede_influxdb_certificate, stampede_influxdb_ca_file and stampede_influxdb_address"
                ) from None
            raise Problem(f"{self._url} does not answer ({reason})") from None


class Passwords:
    """Random passwords, one file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, user: str) -> Path:
        return self.folder / f"{user}-password"

    def of(self, user: str) -> str:
        """The user's password; empty when none was made yet."""
        try:
            return self.file(user).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    def make(self, user: str) -> None:
        """Think of one, unless there is one."""
        if not self.of(user):
            letters = string.ascii_letters + string.digits
            self.file(user).touch(0o600)
            self.file(user).write_text("".join(secrets.choice(letters) for _ in range(32)))


class Keeper:
    """Brings a server to what is wanted, and notes what had to be changed. With ``dry`` it only notes."""

    def __init__(self, server: Server, passwords: Passwords, wanted: dict[str, Any], *, dry: bool) -> None:
        self.changes: list[str] = []
        self._server = server
        self._passwords = passwords
        self._admin = wanted["admin"]
        self._database = wanted["database"]
        self._retention = wanted["retention"]
        self._users: dict[str, str] = wanted["users"]
        self._dry = dry

    def runs(self) -> list[str]:
        """The runs of which there are points. Raises Problem."""
        self._server.await_ready()
        words = f'SHOW TAG VALUES ON {name(self._database)} WITH KEY = "run"'
        return sorted({row["value"] for row in self._as_admin(words)})

    def keep(self) -> None:
        """Make all of it right. Raises Problem."""
        duration = seconds(self._retention)
        self._server.await_ready()
        self._keep_admin()
        if self._dry and self.changes:
            return  # nothing more can be asked
        self._keep_database(duration)
        for user, privilege in self._users.items():
            self._keep_user(user, privilege)
        if not self._dry:
            self._try_rights()

    # ------------------------------------------------------------------ parts

    def _keep_admin(self) -> None:
        if self._passwords.of(self._admin) and self._knows(self._admin):
            return
        self.changes.append(f"administrator {self._admin}")
        if self._dry:
            return
        self._passwords.make(self._admin)
        words = f"CREATE USER {name(self._admin)} WITH PASSWORD {text(self._passwords.of(self._admin))}"
        try:
            self._server.query(f"{words} WITH ALL PRIVILEGES", None)  # allowed to anybody, until there is one
        except Answer:
            raise Problem(
                f"it has an administrator already, whose password is not in {self._passwords.file(self._admin)}; "
                "use it as it is, with stampede_metrics: existing and its URL"
            ) from None

    def _keep_database(self, duration: int) -> None:
        if self._database not in {row["name"] for row in self._as_admin("SHOW DATABASES")}:
            self._change(f"database {self._database}", f"CREATE DATABASE {name(self._database)}")
            if self._dry:
                return
        rows = self._as_admin(f"SHOW RETENTION POLICIES ON {name(self._database)}")
        policy = next(row for row in rows if row["default"])
        if seconds(policy["duration"]) != duration:
            kept, shard = f"{duration}s" if duration else "INF", shard_duration(duration)
            self._change(
                f"retention {self._retention}",
                f"ALTER RETENTION POLICY {name(policy['name'])} ON {name(self._database)} "
                f"DURATION {kept} SHARD DURATION {shard}s",
            )

    def _keep_user(self, user: str, privilege: str) -> None:
        password_there = bool(self._passwords.of(user))
        if not self._dry:
            self._passwords.make(user)
        password = text(self._passwords.of(user))
        found = next((row for row in self._as_admin("SHOW USERS") if row["user"] == user), None)
        if found is None:
            self._change(f"user {user}", f"CREATE USER {name(user)} WITH PASSWORD {password}")
        elif not password_there or not self._knows(user):
            self._change(f"password of {user}", f"SET PASSWORD FOR {name(user)} = {password}")
        if found and found["admin"]:
            self._change(f"{user} is no administrator", f"REVOKE ALL PRIVILEGES FROM {name(user)}")
        rows = self._as_admin(f"SHOW GRANTS FOR {name(user)}") if found else []
        grants = {row["database"]: row["privilege"] for row in rows if row["privilege"] != "NO PRIVILEGES"}
        for database in sorted(grants):
            if (database, grants[database]) != (self._database, privilege):
                self._change(f"{user}: nothing on {database}", f"REVOKE ALL ON {name(database)} FROM {name(user)}")
        if grants.get(self._database) != privilege:
            self._change(
                f"{user}: {privilege} on {self._database}",
                f"GRANT {privilege} ON {name(self._database)} TO {name(user)}",
            )

    def _try_rights(self) -> None:
        """Write and query as each user, and as each user what it may not. Raises Problem."""
        count = f"SELECT count(value) FROM {name(self._database)}..{name(PROBE)}"  # noqa: S608 (quoted)
        try:
            for user, privilege in self._users.items():
                as_user = (user, self._passwords.of(user))
                tries = {
                    "write": lambda as_user=as_user: self._server.write(self._database, f"{PROBE} value=1i", as_user),
                    "read": lambda as_user=as_user: self._server.query(count, as_user),
                    "administrate": lambda as_user=as_user: self._server.query("SHOW USERS", as_user),
                }
                for deed, attempt in tries.items():
                    if (problem := refusal(attempt)) and deed.upper() == privilege:
                        raise Problem(f"the user {user} may not {deed} in {self._database}: {problem}")
                    if not problem and deed.upper() != privilege:
                        raise Problem(f"the user {user} may {deed} in {self._database}, and must not")
        finally:
            self._as_admin(f"DROP SERIES FROM {name(PROBE)}", self._database)

    # --------------------------------------------------------------- the server

    def _as_admin(self, words: str, database: str = "") -> list[dict[str, Any]]:
        return self._server.query(words, (self._admin, self._passwords.of(self._admin)), database)

    def _change(self, what: str, words: str) -> None:
        self.changes.append(what)
        if not self._dry:
            self._as_admin(words)

    def _knows(self, user: str) -> bool:
        """Whether the server takes the user's password."""
        try:
            self._server.query("SHOW DATABASES", (user, self._passwords.of(user)))
        except Answer as answer:
            if answer.status in (401, 403):
                return False
            raise
        return True


def refusal(attempt: Any) -> str:
    """Why the server refuses an attempt; empty when it does not."""
    try:
        attempt()
    except Answer as answer:
        if answer.status in (401, 403):
            return str(answer)
        raise
    return ""


def name(word: str) -> str:
    """An identifier of InfluxQL."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text(word: str) -> str:
    """A string of InfluxQL."""
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def seconds(duration: str) -> int:
    """A duration of InfluxQL, such as 30d or 720h0m0s, in seconds; 0 for INF. Raises Problem."""
    if duration.upper() == "INF":
        return 0
    if not re.fullmatch(r"(\d+[wdhms])+", duration):
        raise Problem(f"stampede_influxdb_retention is {duration!r}; it must be INF or a duration such as 30d")
    return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)([wdhms])", duration))


def shard_duration(duration: int) -> int:
    """Seconds of points that lie in one file group, which is dropped as a whole: as InfluxDB itself chooses it."""
    if duration and duration < 2 * DAY:
        return HOUR
    return DAY if duration and duration <= 26 * WEEK else WEEK


if __name__ == "__main__":
    main()
