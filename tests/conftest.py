"""What all tests share: the order in which workers take them, variables that are right, and runs on virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from scheduling import pytest_collection_modifyitems as pytest_collection_modifyitems
from scheduling import pytest_runtest_setup as pytest_runtest_setup
from scheduling import pytest_testnodedown as pytest_testnodedown
from scheduling import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler

from controller.holder.holder import Script
from controller.load.virtual_time import VirtualTimeLoop
from controller.metrics.journal import Journal
from controller.run.run import Run
from controller.run.simulated import SimulatedServices, SimulatedWallets
from stampede.schema.data_rows import Row, no_row
from stampede.schema.masking import Mask
from stampede.schema.settings.run_settings import Settings
from stampede.schema.settings.variables import LoadHostVariables
from stampede.schema.shared_values import Shared

REPOSITORY = Path(__file__).resolve().parents[1]

# The same examples in each run, so that a change is refused for what it does; the other profile finds new ones.
hypothesis.settings.register_profile("usual", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=5000)
hypothesis.settings.load_profile("usual")  # --hypothesis-profile=fuzz replaces it

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def variables() -> dict[str, Any]:
    """Settings that are right. What is not named here has its default."""
    defaults = yaml.safe_load((REPOSITORY / "roles/run/defaults/main.yml").read_text())
    needed = [f"stampede_{field.name}" for field in dataclasses.fields(LoadHostVariables)]
    return {name: defaults[name] for name in needed} | {
        "stampede_run_id": "test-run",
        "stampede_script": "issue_present_revoke",
        "stampede_holders": 4,
        "stampede_ramp_up": "2s",
        "stampede_duration": 0,
        "stampede_iterations": 2,
        "stampede_wait_min": 10,
        "stampede_wait_max": 60,
        "stampede_presentations_min": 1,
        "stampede_presentations_max": 10,
        "stampede_seed": 42,
        "stampede_drain": "30s",
        "stampede_step_timeout": "60s",
        "stampede_on_failure": "restart",
        "stampede_thresholds": [],
        "stampede_mediator_did": "did:web:mediator.example.org",
        "stampede_services": {
            "issuer": {
                "invitation": {"url": "https://issuer.example.org/invitation"},
                "revocation": {
                    "url": "https://issuer.example.org/revocation",
                    "body": {"rev_reg_id": "${rev_reg_id}", "cred_rev_id": "${cred_rev_id}"},
                },
            },
            "verifier": {"invitation": {"url": "https://verifier.example.org/invitation"}},
        },
        "stampede_secrets": {},
        "stampede_ca_file": "",
        "stampede_agents": 2,
        "stampede_agent_port": 8600,
        "stampede_agent_host": "localhost",
        "stampede_agent_bind": "127.0.0.1",
        "stampede_agent_plugins": [],
        "stampede_agent_args": [],
        "stampede_genesis_url": "",
        "stampede_ledgers": [],
        "stampede_allowed_targets": ["*.example.org"],
        "stampede_arm_timeout": "5m",
        "stampede_wallet_storage": "memory",
        "stampede_postgresql_url": "",
        "stampede_metrics": "none",
        "stampede_influxdb_flush": "30s",
        "stampede_host_name": "local",
    }


@pytest.fixture
def play(variables: dict[str, Any], tmp_path: Path) -> Callable[..., Run]:
    """``play(script, wallets=..., services=..., holders=...)`` runs a script on virtual time.

    The run that it returns has its journal in ``tmp_path / "journal.lp"``.
    """

    def play(
        script: Script,
        wallets: Any = None,
        services: Any = None,
        mask: Mask | None = None,
        prepare: Callable[[Run], object] = lambda run: None,
        row_of: Callable[[int], Row] = no_row,
        shared: Shared | None = None,
        **changes: Any,
    ) -> Run:
        settings = Settings.from_variables(variables | {f"stampede_{name}": value for name, value in changes.items()})

        async def main() -> Run:
            with Journal(tmp_path / "journal.lp", {"run": "test-run"}) as journal:
                run = Run(
                    settings,
                    script,
                    services=services or SimulatedServices(),
                    wallets=wallets or SimulatedWallets(settings.seed),
                    journal=journal,
                    mask=mask,
                    row_of=row_of,
                    shared=shared,
                )
                prepare(run)
                await run.play(run.clock.now())
                return run

        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return runner.run(main())

    return play
