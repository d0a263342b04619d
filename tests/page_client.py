"""``stampede watch --web`` beside a run, and its page as a browser has it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests

STAMPEDE = Path(sys.executable).with_name("stampede")


class WatchedPage:
    """The command, and a client that was let in."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        """``words``: options of ``stampede watch``."""
        self.command = subprocess.Popen(
            [str(STAMPEDE), "watch", "--web", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
        )
        assert self.command.stdout
        self.first = self.command.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", self.first)
        assert found, self.first
        self.url = found.group()
        self.client = requests.Session()
        self.client.trust_env = False
        page = self.client.get(self.url, timeout=20)
        assert page.status_code == 200
        self.home = page.url
        embedded = re.search(r'<script type="application/json" id="chart-data">(.*?)</script>', page.text)
        assert embedded
        self.key: str = json.loads(embedded.group(1))["key"]

    def __enter__(self) -> WatchedPage:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.command.kill()
        self.command.wait()

    def data(self) -> dict[str, Any]:
        """What the page's script is told."""
        answer = self.client.get(f"{self.home}data", timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def ask(self, action: str) -> str:
        """What a button asks for."""
        origin = self.home.split("/", 3)
        headers = {"X-Stampede-Key": self.key, "Origin": "/".join(origin[:3])}
        answer = self.client.post(f"{self.home}{action}", headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.text

    def end(self) -> str:
        """Ctrl-C; returns the rest of what the command printed."""
        self.command.send_signal(signal.SIGINT)
        output, _ = self.command.communicate(timeout=20)
        assert self.command.returncode == 0, output
        return output
