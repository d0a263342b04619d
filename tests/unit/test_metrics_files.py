"""Files that the roles ``influxdb``, ``grafana`` and ``clock`` write, rendered as Ansible does."""

from __future__ import annotations

import configparser
import http.server
import json
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from plugin_files import REPOSITORY, load_plugin

influxdb = load_plugin("modules/stampede_influxdb")


def rendered(role: str, template: str, **variables: Any) -> str:
    """A template, a file's or one in words, with the role's variables and those of a play on ``metrics-1``."""
    known: dict[str, Any] = {
        "role_path": str(REPOSITORY / "roles" / role),
        "groups": {"metrics": ["metrics-1"]},
        "hostvars": {"metrics-1": {"ansible_host": "192.0.2.7"}},
    }
    for file in (REPOSITORY / "roles" / role).glob("*/main.yml"):
        if file.parent.name in ("defaults", "vars"):
            known |= yaml.safe_load(file.read_text())
    templar = Templar(loader=DataLoader(), variables=trusted(known | variables))
    file = REPOSITORY / "roles" / role / "templates" / template
    text = file.read_text() if file.exists() else template
    return str(templar.template(trust_as_template(text)))


def trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def stanza(text: str) -> dict[str, str]:
    """A deb822 paragraph."""
    return dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("role", ["influxdb", "grafana"])
def test_a_vendors_key_is_trusted_for_its_own_repository_alone(role: str) -> None:
    source = stanza(rendered(role, f"{role}.sources.j2"))
    assert source == {
        "Types": "deb",
        "URIs": {"influxdb": "https://repos.influxdata.com/debian", "grafana": "https://apt.grafana.com"}[role],
        "Suites": "stable",
        "Components": "main",
        "Signed-By": f"/etc/apt/keyrings/stampede-{role}.asc",
    }


def test_influxdb_listens_with_tls_and_to_those_who_sign_in() -> None:
    lines = rendered("influxdb", "influxdb.conf.j2").splitlines()
    settings = dict(
        line.removeprefix("Environment=").split("=", 1) for line in lines if line.startswith("Environment=")
    )
    assert settings["INFLUXDB_HTTP_AUTH_ENABLED"] == settings["INFLUXDB_HTTP_HTTPS_ENABLED"] == "true"
    assert settings["INFLUXDB_HTTP_BIND_ADDRESS"] == ":8086"
    key = settings["INFLUXDB_HTTP_HTTPS_PRIVATE_KEY"]
    assert key == "/etc/influxdb/stampede/192.0.2.7.key" and f"ConditionPathExists={key}" in lines


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "IP:192.0.2.7"),
        ("m.example.org", "DNS:m.example.org"),
        ("2001:db8::7", "IP:2001:db8::7"),
        ("[2001:db8::7]", "IP:2001:db8::7"),
    ],
)
def test_the_certificate_names_what_load_hosts_reach(address: str, name: str) -> None:
    text = rendered("influxdb", "openssl.cnf.j2", stampede_influxdb_address=address)
    assert f"subjectAltName = {name}\n" in text


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("192.0.2.7", "https://192.0.2.7:8086"),
        ("2001:db8::7", "https://[2001:db8::7]:8086"),
        ("[2001:db8::7]", "https://[2001:db8::7]:8086"),
    ],
)
def test_an_ipv6_address_of_the_metrics_host_is_in_brackets(address: str, url: str) -> None:
    assert rendered("influxdb", "{{ influxdb_server_url }}", stampede_influxdb_address=address) == url


@pytest.mark.parametrize(
    ("bind", "asked"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("[::1]", "[::1]")],
)
def test_grafana_is_asked_where_it_listens(bind: str, asked: str) -> None:
    assert rendered("grafana", "{{ grafana_health_host }}", stampede_grafana_bind=bind) == asked
    assert f"http_addr = {bind.strip('[]')}\n" in rendered("grafana", "grafana.ini.j2", stampede_grafana_bind=bind)


@pytest.mark.parametrize("word", ["wörd 😀", "$HOME ${x} $$", "'\" \\ : # %", "a\n"])
def test_a_login_of_any_unicode_is_read_by_grafana(word: str) -> None:
    text = rendered(
        "grafana",
        "datasource.yml.j2",
        influxdb_url="https://[2001:db8::7]:8086",
        influxdb_database="stampede",
        influxdb_reading={"user": "grafana"},
        grafana_secrets="{{ [words] }}",
        words=word,
    )
    (source,) = yaml.safe_load(text)["datasources"]
    assert source["url"] == "https://[2001:db8::7]:8086"
    assert source["secureJsonData"]["password"].replace("$$", "$") == word.strip()
    assert "$" not in source["secureJsonData"]["password"].replace("$$", "")


def test_grafana_listens_on_loopback_and_its_password_is_in_no_setting() -> None:
    settings = configparser.RawConfigParser()
    settings.read_string(rendered("grafana", "grafana.ini.j2"))
    assert settings["server"]["http_addr"] == "127.0.0.1" and settings["server"]["http_port"] == "3000"
    assert settings["security"]["admin_password"] == "$__file{/etc/grafana/stampede/admin-password}"
    assert settings["auth.anonymous"]["enabled"] == settings["users"]["allow_sign_up"] == "false"
    home = Path(settings["dashboards"]["default_home_dashboard_path"])
    assert (REPOSITORY / "dashboards" / home.name).is_file()


@pytest.mark.parametrize("authority", ["", "-----BEGIN CERTIFICATE-----\nabc=\n-----END CERTIFICATE-----\n"])
def test_the_data_source_reads_over_verified_tls(authority: str) -> None:
    text = rendered(
        "grafana",
        "datasource.yml.j2",
        influxdb_url="https://192.0.2.7:8086",
        influxdb_database="stampede",
        influxdb_reading={"user": "grafana"},
        grafana_secrets=["s3cret", *([authority] if authority else [])],
    )
    (source,) = yaml.safe_load(text)["datasources"]
    dashboard = json.loads((REPOSITORY / "dashboards/run.json").read_text())
    assert source["uid"] == dashboard["templating"]["list"][0]["current"]["value"]
    assert (source["type"], source["access"], source["url"]) == ("influxdb", "proxy", "https://192.0.2.7:8086")
    assert source["user"] == "grafana" and source["jsonData"]["dbName"] == "stampede"
    assert source["jsonData"]["tlsAuthWithCACert"] is bool(authority) and "tlsSkipVerify" not in source["jsonData"]
    assert source["secureJsonData"] == {"password": "s3cret", **({"tlsCACert": authority} if authority else {})}


def test_the_dashboards_come_from_files() -> None:
    (provider,) = yaml.safe_load(rendered("grafana", "dashboards.yml.j2"))["providers"]
    assert provider["type"] == "file" and provider["options"]["path"] == "/etc/grafana/stampede/dashboards"


@pytest.mark.parametrize(
    ("duration", "expected"), [("INF", 0), ("30d", 2_592_000), ("720h0m0s", 2_592_000), ("0s", 0), ("1w2d", 777_600)]
)
def test_durations_of_influxdb(duration: str, expected: int) -> None:
    assert influxdb.seconds(duration) == expected


def test_a_duration_that_is_none_is_named() -> None:
    with pytest.raises(influxdb.Problem, match="stampede_influxdb_retention is '30 days'; it must be INF or"):
        influxdb.seconds("30 days")


def test_a_certificate_that_is_not_trusted_is_named_at_once(tmp_path: Path) -> None:
    """It is not waited for, as a server is that does not answer yet."""
    ours, other = trustme.CA(), trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("localhost").configure_cert(tls)
    with http.server.HTTPServer(("localhost", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        url = f"https://localhost:{server.server_port}"
        with pytest.raises(
            influxdb.Untrusted, match=f"its certificate is not trusted for {url} \\(.*stampede_influxdb"
        ):
            influxdb.Server(url, str(tmp_path / "ca.pem")).await_ready()
        server.shutdown()


@pytest.mark.parametrize(("value", "sets"), [(True, True), (False, False), ("true", True), ("false", False)])
def test_chrony_only_monitors_the_clock_when_it_must_not_set_it(value: object, sets: bool) -> None:
    """Also when -e gives the value, as a string."""
    text = rendered("clock", "chrony.conf.j2", stampede_clock_set=value)
    assert ("chronyd -x" not in text) is sets
