"""What a hostile load host may send in place of its results: it comes to nothing on the control node."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import resource
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_files import load_plugin

from stampede.results import archive, collection
from stampede.results.archive import Damaged, Packed
from stampede.results.collection import NotCollected

SPOOLS = ["/var/tmp/stampede-collect-r1@"]
TAR = "/var/tmp/stampede-collect-r1@abc/collected.tar"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: Any) -> tuple[Any, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = len(content), kind
    for key, value in more.items():
        setattr(entry, key, value)
    return entry, content


def tar_of(*members: tuple[Any, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for entry, content in members:
            tar.addfile(entry, io.BytesIO(content) if content else None)
    return file.getvalue()


class HostileHost:
    """Announces ``sums`` and sends ``content``."""

    def __init__(self, content: bytes, sums: dict[str, str], **announced: Any) -> None:
        self.content = content
        self.announced = {"tar": TAR, "size": len(content), "sums": sums, "problems": []} | announced
        self.fetched = False

    def pack(self, spools: list[str]) -> Packed:
        return Packed.announced(self.announced, SPOOLS)

    def fetch(self, source: str, target: Path) -> None:
        self.fetched = True
        target.write_bytes(self.content)

    def clear(self, prefixes: list[str], folders: list[str], *, collected: bool) -> str:
        return ""


@pytest.fixture
def collect(tmp_path: Path) -> Callable[[HostileHost], Any]:
    """Collects from a host into results that are there, of which nothing may change unless all is right."""
    dest = tmp_path / "results/r1/load-1"
    dest.mkdir(parents=True)
    (dest / "journal.lp").write_text("former")

    def collect(host: HostileHost) -> Any:
        before = sorted(tmp_path.rglob("*"))
        try:
            return collection.collect(host, Path("/var/lib/stampede/runs/r1"), dest)
        except NotCollected:
            assert sorted(tmp_path.rglob("*")) == before and (dest / "journal.lp").read_text() == "former"
            raise

    return collect


JOURNAL = b"step 1\n"
PLAIN = member("journal.lp", JOURNAL)
SUMS = {"journal.lp": sha256(JOURNAL)}
EMPTY = sha256(b"")


def test_what_was_announced_is_collected(collect: Any, tmp_path: Path) -> None:
    log = gzip.compress(b"hello\n")
    host = HostileHost(tar_of(PLAIN, member("logs/agent-0.log.gz", log)), SUMS | {"logs/agent-0.log.gz": sha256(log)})
    assert collect(host).files == ["journal.lp", "logs/agent-0.log.gz"]
    dest = tmp_path / "results/r1/load-1"
    assert (dest / "journal.lp").read_bytes() == JOURNAL and (dest / "logs/agent-0.log.gz").read_bytes() == log
    assert (dest / "SHA256SUMS").read_text().count("\n") == 2


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (member("link", kind=tarfile.SYMTYPE, linkname="/etc/passwd"), "'link', which is no regular file"),
        (member("link", kind=tarfile.LNKTYPE, linkname="/etc/passwd"), "no regular file"),
        (member("link", kind=tarfile.LNKTYPE, linkname="journal.lp"), "no regular file"),
        (member("folder", kind=tarfile.DIRTYPE), "no regular file"),
        (member("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3), "no regular file"),
        (member("pipe", kind=tarfile.FIFOTYPE), "no regular file"),
        (member("sparse", kind=tarfile.GNUTYPE_SPARSE), "no regular file"),
        (member("x" * 150, b"1"), "without having announced it|no regular file"),
        (member("../../evil", b"1"), "'../../evil' without having announced it"),
        (member("/tmp/evil", b"1"), "without having announced it"),
        (member("report.html", b"1"), "'report.html' without having announced it"),
        (member("SHA256SUMS", b"1"), "without having announced it"),
        (PLAIN, "'journal.lp' twice"),
    ],
)
def test_only_regular_files_that_were_announced_are_taken_each_once(collect: Any, entry: Any, sentence: str) -> None:
    for members in ((PLAIN, entry), (entry, PLAIN)):
        with pytest.raises(NotCollected, match=sentence):
            collect(HostileHost(tar_of(*members), SUMS))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_what_was_announced_must_be_a_regular_file_all_the_same(collect: Any, kind: bytes) -> None:
    entry = member("state.json", kind=kind, linkname="/etc/hostname")
    with pytest.raises(NotCollected, match=r"'state\.json', which is no regular file"):
        collect(HostileHost(tar_of(PLAIN, entry), SUMS | {"state.json": EMPTY}))


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "/etc/cron.d/evil", "../evil", "a/../../evil", "a//b", "./a", "a/.", "a/b/c/d/e"),
        *("SHA256SUMS", "sha256sums", "sha256sums/x", "a\0b", "a\nb", "a\x1b[2Jb", "a\\b", "\u202egpj.exe"),
        *("x" * 101, "\udcff"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_fetched(collect: Any, name: str) -> None:
    host = HostileHost(tar_of(PLAIN), SUMS | {name: EMPTY})
    with pytest.raises(NotCollected, match="The host offers the file ") as refused:
        collect(host)
    assert not host.fetched and str(refused.value).isprintable()


@pytest.mark.parametrize(
    "announced",
    [
        {"tar": "/etc/shadow"},
        {"tar": "/var/tmp/stampede-collect-r1@abc/../../../etc/shadow"},
        {"tar": "/var/tmp/stampede-collect-r1@abc/x\nget /etc/shadow /tmp/y.tar"},
        {"tar": ["/etc/shadow"]},
        {"tar": None},
        {"size": -1},
        {"size": True},
        {"size": 1e9},
        {"size": "12"},
        {"size": 1 << 80},
        {"sums": None},
        {"sums": ["journal.lp"]},
        {"sums": {f"logs/{number}": EMPTY for number in range(archive.MOST_FILES + 1)}},
        {"sums": {"journal.lp": "0" * 63}},
        {"sums": {"journal.lp": None}},
        {"sums": {7: EMPTY}},
        {"problems": "none"},
        {"problems": 3},
    ],
)
def test_an_announcement_of_a_wrong_shape_is_refused(collect: Any, announced: dict[str, Any]) -> None:
    host = HostileHost(tar_of(PLAIN), SUMS)
    host.announced |= announced
    with pytest.raises(NotCollected, match=r"The host (offers|names)|The SHA-256 of") as refused:
        collect(host)
    assert not host.fetched and str(refused.value).isprintable() and len(str(refused.value)) < 400


def test_problems_are_sentences_without_control_characters(collect: Any) -> None:
    host = HostileHost(tar_of(PLAIN), SUMS, problems=["\x1b[2J" + "x" * 10_000, 5])
    long, five = collect(host).warnings
    assert long.startswith(" [2Jxxx") and len(long) == archive.LONGEST_PROBLEM and five == "5"


def test_a_host_that_sends_more_than_it_announced_is_cut_off(collect: Any, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sent = []

    class Endless(HostileHost):
        def fetch(self, source: str, target: Path) -> None:
            with target.open("wb", buffering=0) as file:
                while len(sent) < 1000:
                    sent.append(file.write(bytes(1 << 16)))

    with pytest.raises(NotCollected, match="The host sends more than the 100000 bytes that it has announced"):
        collect(Endless(b"", SUMS, size=100_000))
    assert sum(sent) == 100_001 and resource.getrlimit(resource.RLIMIT_FSIZE) == before


def test_so_is_a_program_that_fetches_for_it(collect: Any) -> None:
    class Endless(HostileHost):
        def fetch(self, source: str, target: Path) -> None:
            words = ("dd", "if=/dev/zero", f"of={target}", "bs=64k", "count=1000", "status=none")
            if subprocess.run(words, check=False, stderr=subprocess.DEVNULL).returncode:
                raise collection.TransferFailed("sftp failed")

    with pytest.raises(NotCollected, match="The host sends more than the 100000 bytes"):
        collect(Endless(b"", SUMS, size=100_000))


@pytest.mark.parametrize(
    "content",
    [
        tar_of(PLAIN)[:-1],
        tar_of(PLAIN) + b"\0",
        b"\x1f\x8b" + tar_of(PLAIN)[2:],
        gzip.compress(tar_of(PLAIN)),
        b"\xff" * 1024,
        b"",
    ],
)
def test_what_is_no_such_tar_file_is_damaged(collect: Any, content: bytes) -> None:
    size = len(tar_of(PLAIN)) if content[:4] == tar_of(PLAIN)[:4] else len(content)
    with pytest.raises(NotCollected, match=r"is damaged|did not arrive"):
        collect(HostileHost(content, SUMS, size=size))


@pytest.mark.parametrize("size", [1 << 40, -512])
def test_a_size_in_a_header_is_no_promise(collect: Any, size: int) -> None:
    entry = tarfile.TarInfo("journal.lp")
    entry.size = size
    content = entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    with pytest.raises(NotCollected, match="more than there are"):
        collect(HostileHost(content, SUMS))


def test_headers_of_pax_are_passed_over_and_change_nothing(collect: Any, tmp_path: Path) -> None:
    entry = member("journal.lp", JOURNAL, mtime=1.5, pax_headers={"path": "../evil", "size": "1"})
    assert collect(HostileHost(tar_of(entry), SUMS)).files == ["journal.lp"]


def test_a_file_is_not_put_into_another(collect: Any) -> None:
    with pytest.raises(NotCollected, match="'a/b' to the place of another of its files"):
        collect(HostileHost(tar_of(member("a", b""), member("a/b", b"")), {"a": EMPTY, "a/b": EMPTY}))


def test_what_unpacks_beyond_measure_is_refused(collect: Any) -> None:
    bomb = gzip.compress(bytes(archive.RATIO_MATTERS_FROM + 1), 9)
    with pytest.raises(NotCollected, match=r"journal\.lp\.gz unpacks to more than 256 MiB, 200 times its size"):
        collect(HostileHost(tar_of(member("journal.lp.gz", bomb)), {"journal.lp.gz": sha256(bomb)}))


def test_a_file_of_many_is_refused(collect: Any) -> None:
    many = gzip.compress(os.urandom(1 << 19)) * 2
    with pytest.raises(NotCollected, match="which is several files of gzip in one"):
        collect(HostileHost(tar_of(member("journal.lp.gz", many)), {"journal.lp.gz": sha256(many)}))


def test_a_large_file_that_is_no_gzip_is_for_its_reader_to_judge(collect: Any) -> None:
    noise = os.urandom(1 << 19)
    host = HostileHost(tar_of(member("journal.lp.gz", noise)), {"journal.lp.gz": sha256(noise)})
    assert collect(host).files == ["journal.lp.gz"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.fuzz
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("tar", "size", "sums", "problems"), JSON))
    | st.fixed_dictionaries(
        {
            "tar": st.just(TAR) | st.text().map(lambda end: SPOOLS[0] + end),
            "size": st.integers(),
            "sums": st.dictionaries(st.text(), st.just(EMPTY) | st.text(), max_size=3),
            "problems": st.lists(JSON, max_size=2),
        }
    )
)
def test_whatever_is_announced_is_right_or_refused(announced: dict[str, Any]) -> None:
    try:
        packed = Packed.announced(announced, SPOOLS)
    except Damaged as refused:
        assert str(refused).isprintable()
    else:
        assert packed.tar.startswith(SPOOLS[0]) and "/../" not in packed.tar and packed.tar.isprintable()
        assert 0 <= packed.size <= archive.MOST_BYTES
        for name in packed.sums:
            assert not Path(name).is_absolute() and ".." not in Path(name).parts and name.isprintable()


@pytest.mark.fuzz
@given(st.data())
def test_whatever_is_sent_stays_in_its_folder(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("sent")
    name = data.draw(st.sampled_from(["journal.lp", "../evil", "/evil", "a/b", "logs/x.gz"]))
    kind = data.draw(
        st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.XHDTYPE, b"K", b"x"])
    )
    content = bytearray(tar_of(PLAIN, member(name, data.draw(st.binary(max_size=20)), kind, linkname="/etc/passwd")))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    (folder / "tar").write_bytes(content)
    sums = SUMS | ({name: sha256(b"")} if not archive.wrong_name(name) else {})
    try:
        archive.unpack(folder / "tar", folder / "new", Packed(TAR, len(content), sums, ()))
    except (Damaged, OSError) as refused:
        assert isinstance(refused, Damaged) and str(refused).isprintable()
    assert {path.name for path in folder.iterdir()} == {"tar", "new"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_the_number_of_a_user_is_a_number() -> None:
    action = SimpleNamespace(_low_level_execute_command=lambda *_, **__: {"stdout": "0; rm -rf /\x1b[2J"})
    host = load_plugin("action/stampede_collect").AnsibleHost(action, {}, {})
    with pytest.raises(Damaged, match=r"'0; rm -rf /\\x1b\[2J'; it must be digits"):
        host.pack(SPOOLS)
