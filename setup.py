"""What pyproject.toml cannot say: wheels and sdists carry what Ansible reads, which lies beside the packages.

A wheel has it in ``stampede/shipped``, where ``stampede/machine/home.py`` finds it; an sdist as a checkout has it. A
load host's wheel is built without this file, and needs none of it.
"""

import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = (
    *(
        "ansible.cfg",
        "constraints.txt",
        "pyproject.toml",
        "requirements*.txt",
        "requirements.lock",
        "requirements.yml",
        "dashboards/*.json",
    ),
    *("inventory/*.json", "inventory/aws", "inventory/example", "inventory/hetzner", "inventory/local"),
    *("playbooks", "plugins", "roles", "templates"),
)
"""Files, patterns of files, and folders with all that is in them."""


def shipped() -> list[Path]:
    """The files, relative to this folder; of a checkout those that Git has, and nothing of the builder's own."""
    found = [path for pattern in SHIPPED for path in sorted(Path().glob(pattern))]
    files = [file for path in found for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    files = [file for file in files if file.is_file() and file.suffix != ".pyc"]
    if not Path(".git").exists():
        return files
    listed = subprocess.run(("git", "ls-files", "-z"), stdout=subprocess.PIPE, text=True, check=True).stdout
    tracked = set(listed.split("\0"))
    return [file for file in files if str(file) in tracked]


class BuildWithShipped(build_py):
    """Adds the files to a wheel and an sdist, by what setuptools' SubCommand protocol asks for."""

    def run(self) -> None:
        super().run()
        for file in [] if self.editable_mode else shipped():
            target = Path(self.build_lib, "stampede/shipped", file)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(file), str(target))

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *map(str, shipped())]


setup(cmdclass={"build_py": BuildWithShipped})
