"""The profiles of a store, and the folder with a file for each."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4

from aries_askar import AskarError, AskarErrorCode

from controller.wallet_memory import codec
from controller.wallet_memory.cipher import KEY_BYTES, SALT_BYTES, Cipher, derive
from controller.wallet_memory.folders import tell_cut_short
from controller.wallet_memory.log import Log
from controller.wallet_memory.profile import Changes, Profile
from controller.wallet_memory.records import Kind, Record

LOGGER = logging.getLogger(__name__)

HEADER = "store.json"
KEY_CONTEXT = b"key of the records"
NAME = (Kind.PROFILE, "", "name")


@dataclass(frozen=True, slots=True)
class Credentials:
    """By what ACA-Py opens a store."""

    key_method: str | None
    pass_key: str | None

    def wrap(self, key: bytes) -> dict[str, str]:
        """The key of the records, encrypted, for the header."""
        salt = secrets.token_bytes(SALT_BYTES)
        encrypted = Cipher(derive(self.key_method, self.pass_key, salt)).encrypt(key, KEY_CONTEXT)
        return {"salt": salt.hex(), "key": encrypted.hex()}

    def unwrap(self, salt: str, key: str) -> bytes:
        """The key of the records. Raises AskarError ENCRYPTION when it was wrapped with other credentials."""
        unwrapping = Cipher(derive(self.key_method, self.pass_key, bytes.fromhex(salt)))
        unwrapped = unwrapping.decrypt(bytes.fromhex(key), KEY_CONTEXT)
        if unwrapped is None:
            raise AskarError(AskarErrorCode.ENCRYPTION, "the key is not that of this store")
        return unwrapped


class Database:
    """The profiles of a store. Without a folder they are gone with the process."""

    def __init__(self, folder: Path | None, key: bytes, header: dict[str, str]) -> None:
        self.folder = folder
        self.profiles: dict[str, Profile] = {}
        self._key = key
        self._cipher = Cipher(key)
        self._header = header
        self._logs: dict[Profile, Log] = {}

    @classmethod
    def create(cls, folder: Path | None, credentials: Credentials, profile: str | None) -> Self:
        """A new store with one profile."""
        key = secrets.token_bytes(KEY_BYTES)
        name = profile or str(uuid4())
        header = {**credentials.wrap(key), "default_profile": name}
        if folder:
            shutil.rmtree(folder, ignore_errors=True)  # of a process that ended while it created the store
            folder.mkdir(mode=0o700, parents=True)
        database = cls(folder, key, header)
        database.create_profile(name)
        database._write_header()
        return database

    @classmethod
    def load(cls, folder: Path, credentials: Credentials) -> Self:
        """The store in a folder. Raises AskarError: NOT_FOUND when there is none, ENCRYPTION."""
        if not exists(folder):
            raise AskarError(AskarErrorCode.NOT_FOUND, f"there is no store in {folder}")
        header = json.loads((folder / HEADER).read_text())
        database = cls(folder, credentials.unwrap(header["salt"], header["key"]), header)
        cut_short = [name for file in sorted(folder.glob("*.log")) if (name := database._load_profile(file))]
        if cut_short:
            tell_cut_short(folder, cut_short)
        return database

    def check(self, credentials: Credentials) -> None:
        """Raise AskarError ENCRYPTION when the store is not opened by these."""
        credentials.unwrap(self._header["salt"], self._header["key"])

    @property
    def default_profile(self) -> str:
        """The profile of sessions that name none."""
        return self._header["default_profile"]

    @default_profile.setter
    def default_profile(self, name: str) -> None:
        self._header["default_profile"] = name
        self._write_header()

    def profile(self, name: str) -> Profile:
        """The profile of that name. Raises AskarError NOT_FOUND."""
        found = self.profiles.get(name)
        if found is None:
            raise AskarError(AskarErrorCode.NOT_FOUND, "Profile not found")
        return found

    def create_profile(self, name: str) -> None:
        """Add an empty profile. Raises AskarError DUPLICATE."""
        if name in self.profiles:
            raise AskarError(AskarErrorCode.DUPLICATE, "Duplicate profile name")
        profile = Profile(name)
        profile.apply({NAME: Record(*NAME, name.encode())})
        if self.folder:
            log = Log(self.folder / f"{secrets.token_hex(8)}.log", self._cipher)
            try:
                log.rewrite(_whole(profile))
            except OSError as error:
                raise _unwritten(error) from error
            self._logs[profile] = log
        self.profiles[name] = profile

    def remove_profile(self, name: str) -> bool:
        """Remove a profile with all that is in it; returns whether there was one."""
        profile = self.profiles.pop(name, None)
        if profile is None:
            return False
        profile.clear()
        if log := self._logs.pop(profile, None):
            log.remove()
        return True

    def rename_profile(self, name: str, new_name: str) -> bool:
        """Give a profile another name; returns whether there was one. Raises AskarError BACKEND when the new name is
        another profile's."""
        if name not in self.profiles:
            return False
        if new_name in self.profiles and new_name != name:
            raise AskarError(AskarErrorCode.BACKEND, "Error renaming profile")
        profile = self.profiles[name]
        self.commit(profile, {NAME: Record(*NAME, new_name.encode())})
        self.profiles[new_name] = self.profiles.pop(name)
        return True

    def commit(self, profile: Profile, changes: Changes) -> None:
        """Make changes, in the file first. Raises AskarError, after which none has been made: NOT_FOUND when the
        profile has been removed, BACKEND when the file cannot be written."""
        if profile.removed:
            raise AskarError(AskarErrorCode.NOT_FOUND, "Session profile has been removed")
        if not changes:
            return
        log = self._logs.get(profile)
        if log is None:
            profile.apply(changes)
            return
        try:
            log.append(codec.encode(changes.items()))
        except OSError as error:
            raise _unwritten(error) from error
        profile.apply(changes)
        if log.has_outgrown:
            try:
                log.rewrite(_whole(profile))
            except OSError as error:
                LOGGER.warning("the file of profile %s goes on growing: %s", profile.name, error)

    def rekey(self, credentials: Credentials) -> None:
        """Have the store opened by other credentials."""
        self._header |= credentials.wrap(self._key)
        self._write_header()

    def _load_profile(self, file: Path) -> str:
        """Read a profile's file; returns the profile's name when the end of the file was lost."""
        log, profile = Log(file, self._cipher), Profile("")
        for frame in log.read():
            profile.apply(dict(codec.decode(frame)))
        lost = log.cut_off_rest()
        named = profile.get(NAME)
        if named is None:  # the process ended while it created the profile
            log.remove()
            return ""
        assert isinstance(named.value, bytes)
        profile.name = named.value.decode()
        self.profiles[profile.name] = profile
        self._logs[profile] = log
        if lost:
            LOGGER.warning("profile %s: its last write was cut short, %d bytes are lost", profile.name, lost)
        return profile.name if lost else ""

    def _write_header(self) -> None:
        if self.folder:
            new = self.folder / f"{HEADER}.new"
            new.touch(mode=0o600)
            new.write_text(json.dumps(self._header))
            new.replace(self.folder / HEADER)


def _whole(profile: Profile) -> bytes:
    return codec.encode((record.id, record) for record in profile.records())


def _unwritten(error: OSError) -> AskarError:
    return AskarError(AskarErrorCode.BACKEND, f"a wallet could not be written: {error}")


def exists(folder: Path) -> bool:
    """Whether there is a store in a folder."""
    return (folder / HEADER).is_file()
