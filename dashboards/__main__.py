"""``python -m dashboards`` writes the dashboards' JSON files; ``--check`` only compares them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import compare, hosts, load, phones, run


def main() -> int:
    """Write or check the files; the exit code is 1 when ``--check`` finds one out of date."""
    stale = []
    for module in (run, load, hosts, phones, compare):
        file = Path(__file__).with_name(f"{module.__name__.rpartition('.')[2]}.json")
        text = json.dumps(module.dashboard(), indent=1) + "\n"
        if not file.exists() or file.read_text() != text:
            stale.append(file.name)
            if "--check" not in sys.argv:
                file.write_text(text)
    for name in stale:
        print(f"dashboards/{name} was out of date")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
