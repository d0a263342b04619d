"""Copies the settings of a context as the dictionary that they are."""

from __future__ import annotations

from typing import Any

from controller.acapy_patches.patch import Patch

SETTINGS = "acapy_agent.config.settings:Settings"


def copy_dictionaries() -> None:
    """Hand ``Settings`` the dictionary of other settings, not the mapping that looks up each key by itself."""
    from acapy_agent.config.injection_context import InjectionContext
    from acapy_agent.config.settings import Settings

    init, extend, update = Settings.__init__, Settings.extend, Settings.update
    copy = InjectionContext.copy

    def dictionary(values: Any) -> Any:
        return values._values if type(values) is Settings else values

    def init_from(self: Any, values: Any = None) -> None:
        init(self, dictionary(values))

    def extend_by(self: Any, other: Any) -> Any:
        return extend(self, dictionary(other))

    def update_by(self: Any, other: Any) -> None:
        update(self, dictionary(other))

    def copy_context(self: Any) -> Any:
        if type(self) is not InjectionContext:
            return copy(self)
        result = object.__new__(InjectionContext)
        result.__dict__.update(self.__dict__)
        result._injector = self.injector.copy()
        return result

    Settings.__init__, Settings.extend, Settings.update = init_from, extend_by, update_by
    InjectionContext.copy = copy_context


CONTEXT_COPIES = Patch(
    name="context_copies",
    reason=(
        "Each session with a wallet copies some hundred settings one by one, through two abstract base classes and a "
        "check of each name."
    ),
    upstream="not reported upstream",
    written_for={"acapy-agent": "1.7.0"},
    originals={
        SETTINGS: "000a886cf02e7954",
        "acapy_agent.config.base:BaseSettings": "41c98f6cd0fa4cfe",
        "acapy_agent.config.injector:Injector.copy": "c743716586d007a7",
        "acapy_agent.config.injection_context:InjectionContext": "ec2845c139c0be0d",
    },
    apply=copy_dictionaries,
)
