"""Makes the plan: the script's work, simulated, times what a finished run says that each step takes."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stampede import wording
from stampede.load_models.profile import Profile, due_moments
from stampede.planning.calibration import FEWEST_OF_A_STEP, Calibration, has_services, other_version, scripts_of
from stampede.planning.order_statistics import half_width, samples_needed
from stampede.planning.plan import (
    UTILISATION,
    Asked,
    CpuPlan,
    HostsPlan,
    PercentilePlan,
    Plan,
    Price,
    ServicePlan,
    StepPlan,
    usable_cores,
)
from stampede.planning.step_costs import Costs
from stampede.prepare.room import holders_needed
from stampede.prepare.script_work import PartWork, ScriptWork
from stampede.prepare.trial import script_work
from stampede.schema.errors import BadInput
from stampede.schema.settings.variables import VARIABLES

MEMORY_USED = 0.8
"""Share of its memory that may be used."""
ROUNDS = 3
"""That each holder makes at least, where nothing else decides the duration."""
MOST_HOSTS = 100_000
MOST_DRAWN = 1000
"""Rounds of a visit whose times are drawn; those of a longer one differ as little."""
OTHER_LOAD: Mapping[str, Any] = {
    "stampede_load_model": "closed",
    "stampede_stages": [],
    "stampede_search": {},
    "stampede_share": {},
    "stampede_thresholds": [],
    "stampede_warm_up": 0,
    "stampede_cool_down": 0,
}
"""What a script is simulated with in place of settings that make sense with their own load model only."""
IN_ARGUMENTS = ("stampede_holders", "stampede_rate")
"""Settings that the command's arguments are in place of."""
MEDIATOR = "mediator"
"""What the plan calls the service of steps that are about the mediator's DID."""


@dataclass(frozen=True)
class Wanted:
    """What is to be planned; None where it is left to the calibration, or not asked."""

    asked: Asked
    settings: Mapping[str, Any]
    """Variables that differ from the calibration's."""
    duration: float | None = None
    percentile: float = 99.0
    cores: int | None = None
    memory: float | None = None
    utilisation: float = UTILISATION
    price: float | None = None
    """Of a host for an hour; that of the settings when it is None."""


@dataclass(frozen=True)
class Rates:
    """Holders who arrive and rounds that begin, per second."""

    arrivals: float
    rounds: float

    def of(self, work: ScriptWork) -> dict[str, float]:
        """Steps per second, by name."""
        return _sum(work.arrival.counts(), self.arrivals, work.round.counts(), self.rounds)


def make_plan(calibration: Calibration, wanted: Wanted, project: Path) -> Plan:
    """The plan. Raises BadInput for what cannot be planned, and for wrong settings."""
    _check_settings(wanted.settings)
    settings = {**calibration.settings, **wanted.settings}
    planned, ran = scripts_of(settings), scripts_of(calibration.settings)
    if planned != ran:
        raise BadInput(
            f"The script that is planned is {planned}, but the calibration {calibration.id} ran {ran}; calibrate "
            "with the one that is planned"
        )
    work = script_work(_for_simulation(settings), project)
    _check_steps(work, calibration)
    return _Planner(calibration, wanted, settings, work).plan()


def _for_simulation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without what makes sense with their own load model only."""
    return {**settings, **OTHER_LOAD, "stampede_ramp_up": 0}


def _check_settings(wanted: Mapping[str, Any]) -> None:
    """Raises BadInput with a sentence for each setting that would make no difference to the plan."""
    if ignored := [name for name in wanted if name in OTHER_LOAD or name in IN_ARGUMENTS]:
        raise BadInput(
            *(
                f"{name} is {wanted[name]!r} by -e, and a plan does not go by it; leave it out, and say the load by "
                "--holders, --rate, --arrivals or --target"
                for name in ignored
            )
        )


def _check_steps(work: ScriptWork, calibration: Calibration) -> None:
    """Raises BadInput when a step of the script was not measured."""
    for step in {**work.arrival.counts(), **work.round.counts()}:
        seen = calibration.steps.get(step)
        if seen is None or seen.number < FEWEST_OF_A_STEP:
            times = wording.number(seen.number if seen else 0, "time")
            raise BadInput(
                f"The calibration {calibration.id} had the step {step} {times}; the script does it, so it must be "
                f"there at least {FEWEST_OF_A_STEP} times"
            )


class _Planner:
    def __init__(
        self, calibration: Calibration, wanted: Wanted, settings: Mapping[str, Any], work: ScriptWork
    ) -> None:
        self._calibration, self._wanted, self._work = calibration, wanted, work
        self._settings = settings
        self._asked = _load_for(wanted.asked, work, scripts_of(settings))
        self._iterations = float(_read(settings, "stampede_iterations")) if work.has_rounds else 0.0
        self._round = self._seconds(work.round)
        self._visit = self._seconds(work.arrival) + self._iterations * self._round
        self._steady = self._rates()
        self._is_open = self._asked.what == "arrivals"
        self._ramp_up = float(_read(settings, "stampede_ramp_up")) or math.ceil(self._round or self._visit)
        self._duration = self._how_long(self._percentile(self._steady.of(work)))
        if self._duration <= self._ramp_up and not self._is_open:
            raise BadInput(
                f"The duration is {wording.duration(self._duration)}; it must be longer than the ramp-up, "
                f"{wording.duration(self._ramp_up)}: give a longer --duration, or a shorter -e stampede_ramp_up"
            )
        self._shared_out_over(1)
        if (hosts := self._hosts().number) > 1:
            self._shared_out_over(hosts)

    def _shared_out_over(self, hosts: int) -> None:
        self._holders = self._how_many(hosts)
        arriving = self._steady.arrivals if self._is_open else self._holders / self._ramp_up
        self._busiest = Rates(arriving, self._steady.rounds)

    def plan(self) -> Plan:
        calibration, wanted = self._calibration, self._wanted
        per_second = self._steady.of(self._work)
        hosts = self._hosts()
        agents = hosts.number * hosts.agents
        percentile = self._percentile(per_second)
        return Plan(
            calibration=calibration.id,
            script=scripts_of(self._settings),
            asked=wanted.asked,
            settings=dict(wanted.settings),
            holders=self._holders,
            ramp_up=self._ramp_up,
            duration=self._duration,
            visit=self._visit,
            round=self._round,
            think_time=self._work.round.between,
            rounds_per_second=self._steady.rounds,
            arrivals_per_second=self._steady.arrivals,
            steps_per_second=sum(per_second.values()),
            steps=self._steps(per_second),
            services=self._services(),
            agents_cpu=self._cpu(calibration.agents, agents),
            controllers_cpu=self._cpu(calibration.controller, hosts.number),
            agents_memory=agents * calibration.agent_memory + self._holders * calibration.holder_memory,
            controllers_memory=hosts.number * calibration.controller_memory,
            sockets=hosts.sockets * hosts.number,
            hosts=hosts,
            percentile=percentile,
            price=self._price(hosts, self._duration),
            measured=self._measured(),
            assumed=self._assumed(),
        )

    def _seconds(self, part: PartWork) -> float:
        """How long a part of the script takes: its think times, and its steps as they were measured. What is within a
        step is in the time of that already."""
        measured = self._calibration.steps
        return part.between + sum(each.outermost * measured[each.step].service_time for each in part.steps)

    def _rates(self) -> Rates:
        """Arrivals and rounds in the steady phase, by Little's law."""
        what, value = self._asked.what, self._asked.value
        if what == "arrivals":
            return Rates(value, value * self._iterations)
        if not self._work.has_rounds:
            raise BadInput(
                f"--{what} needs a script with rounds, and {scripts_of(self._settings)} has no "
                "until_end_of_run(); plan it with --arrivals"
            )
        if self._round <= 0:
            raise BadInput("A round of the script takes no time; it must have a step or a think time")
        return Rates(0.0, value if what == "rate" else value / self._round)

    def _how_many(self, hosts: int) -> int:
        """Holders of which none is lacking at any time; the check of a run finds their number in the same way."""
        what, value = self._asked.what, self._asked.value
        if what == "holders":
            return int(value)
        profile = Profile.rising(value, 0.0, self._duration)
        arrivals, seed = _read(self._settings, "stampede_arrivals"), int(_read(self._settings, "stampede_seed"))
        due = functools.partial(due_moments, profile, arrivals, seed)
        return holders_needed(due, self._stays(seed), hosts, seed)

    def _stays(self, seed: int) -> list[float]:
        """How long some visits, or rounds, would take: as they were measured on average, as they vary when they are
        simulated."""
        spread, chance = self._work.spread, random.Random(f"{seed}:stays")
        if not self._is_open or not self._iterations:
            return [(self._visit if self._is_open else self._round) * part for part in spread]
        in_rounds, rounds = self._iterations * self._round, min(int(self._iterations), MOST_DRAWN)
        means = (math.fsum(chance.choices(spread, k=rounds)) / rounds for _ in spread)
        return [self._visit + in_rounds * (mean - 1) for mean in means]

    def _cpu(self, costs: Costs, processes: int) -> CpuPlan:
        per_second = self._steady.of(self._work)
        low, high = costs.span(per_second, processes)
        return CpuPlan(costs.of(per_second, processes), low, high, costs.of(self._busiest.of(self._work), processes))

    def _steps(self, per_second: Mapping[str, float]) -> dict[str, StepPlan]:
        calibration = self._calibration
        return {
            step: StepPlan(
                rate,
                calibration.steps[step].service_time,
                calibration.agents.steps[step],
                calibration.controller.steps[step],
                calibration.agents.is_told_apart(step),
            )
            for step, rate in per_second.items()
        }

    def _services(self) -> dict[str, ServicePlan]:
        steady, busiest = (_by_service(self._work, rates) for rates in (self._steady, self._busiest))
        asked, most_asked = (
            _sum(self._work.arrival.requests, rates.arrivals, self._work.round.requests, rates.rounds)
            for rates in (self._steady, self._busiest)
        )
        return {
            name: ServicePlan(
                steady.get(name, 0.0), asked.get(name, 0.0), busiest.get(name, 0.0), most_asked.get(name, 0.0)
            )
            for name in dict.fromkeys([*steady, *asked])
        }

    def _hosts(self) -> HostsPlan:
        """The fewest hosts on which nothing is used more than it may be."""
        calibration, wanted = self._calibration, self._wanted
        cores = wanted.cores or calibration.cores
        memory = wanted.memory or calibration.memory
        if not cores or not memory:
            lacking = "--cores-per-host" if not cores else "--memory-per-host"
            raise BadInput(f"The calibration {calibration.id} does not say what its hosts have; give {lacking}")
        agents = int(_read(self._settings, "stampede_agents")) or cores
        most = max(
            self._steady.of(self._work),
            self._busiest.of(self._work),
            key=lambda rates: calibration.agents.of(rates, 0),
        )
        work = calibration.agents.of(most, 0)
        steering = calibration.controller.of(most, 0)
        idle = agents * calibration.agents.idle + calibration.controller.idle
        room = usable_cores(cores, agents) * wanted.utilisation
        base_memory = agents * calibration.agent_memory + calibration.controller_memory
        sockets = calibration.sockets
        known = "stampede_open_files" in self._settings
        open_files = float(_read(self._settings, "stampede_open_files")) if known else math.inf
        needed = {
            "cpu": _divided(work + steering, room - idle),
            "controller": _divided(steering, wanted.utilisation - calibration.controller.idle),
            "memory": _divided(self._holders * calibration.holder_memory, memory * MEMORY_USED - base_memory),
            "sockets": _divided(self._holders * sockets.holder, open_files - sockets.base),
        }
        limit = max(needed, key=lambda name: needed[name])
        if MOST_HOSTS < needed[limit] < math.inf:
            raise BadInput(
                f"The load needs {math.ceil(needed[limit]):,} load hosts (limited by {limit}), but a plan has at "
                f"most {MOST_HOSTS:,}; plan a smaller load or larger hosts"
            )
        if math.isinf(needed[limit]):
            raise BadInput(
                f"A host of {wording.number(cores, 'core')} and {wording.size(memory)} has no room for the load: its "
                f"{wording.number(agents, 'agent')} and controller alone fill it by {limit}; plan larger hosts"
            )
        number = max(1, math.ceil(needed[limit] - 1e-9))
        return HostsPlan(
            number=number,
            limited_by=limit,
            cores=cores,
            memory_available=memory,
            agents=agents,
            utilisation=wanted.utilisation,
            cpu=(work + steering) / number + idle,
            memory=base_memory + self._holders / number * calibration.holder_memory,
            sockets=sockets.base + self._holders / number * sockets.holder,
        )

    def _percentile(self, per_second: Mapping[str, float]) -> PercentilePlan | None:
        part = self._work.round if self._work.has_rounds else self._work.arrival
        rates = {step: per_second[step] for step in part.counts() if per_second.get(step)}
        if not rates:
            return None
        rarest = min(rates, key=lambda step: rates[step])
        wanted = self._wanted.percentile
        samples = samples_needed(wanted)
        return PercentilePlan(wanted, half_width(wanted), samples, rarest, samples / rates[rarest])

    def _how_long(self, percentile: PercentilePlan | None) -> float:
        if self._wanted.duration:
            return self._wanted.duration
        if "stampede_duration" in self._wanted.settings and (given := _read(self._settings, "stampede_duration")):
            return float(given)
        enough = percentile.seconds if percentile else 0.0
        return float(math.ceil(self._ramp_up + max(ROUNDS * (self._round or self._visit), enough)))

    def _price(self, hosts: HostsPlan, duration: float) -> Price | None:
        price = self._wanted.price or float(_read(self._settings, "stampede_price"))
        hours = duration / 3600
        return Price(price, price * hosts.number * hours, price * hosts.number * math.ceil(hours)) if price else None

    def _measured(self) -> list[str]:
        calibration = self._calibration
        run = calibration.run.summary
        agents = calibration.agents
        apart = [step for step in self._steady.of(self._work) if agents.is_told_apart(step)]
        of_run = f"{run.load.ended:,} steps of {calibration.id} in {wording.duration(run.run.duration)}"
        sentences = [f"Service times and CPU for each step: {of_run}."]
        others = len(self._steady.of(self._work)) - len(apart)
        if others:
            only = f"only {wording.listed(apart)} can" if apart else "none can"
            sentences.append(
                f"Of the agents' CPU for a single step {only} be told apart: the others always came together. Their "
                "sum for a round is known."
            )
        if calibration.holder_memory_measured:
            sentences.append(f"Memory: {wording.size(calibration.holder_memory)} for each holder.")
        return sentences

    def _assumed(self) -> list[str]:
        calibration = self._calibration
        sentences = ["Services answer as fast as they did in the calibration, and steps cost as much."]
        if calibration.run.summary.generator.bottleneck:
            sentences.append(
                "The load generator was the bottleneck of the calibration, so its service times are too long."
            )
        if not calibration.holder_memory_measured:
            sentences.append(
                f"Memory for each holder: {wording.size(calibration.holder_memory)}, as Stampede's benchmarks have "
                "it; the calibration had too few holders to tell."
            )
        if not _read(self._settings, "stampede_ramp_up") and not self._is_open:
            sentences.append(
                f"Holders start over {wording.duration(self._ramp_up)}; stampede_ramp_up is 0, and a start at once "
                "cannot be planned."
            )
        if not calibration.sockets.measured and calibration.sockets.holder:
            each = wording.number(round(calibration.sockets.holder), "socket")
            sentences.append(f"A holder has {each}; the calibration had too few holders to tell.")
        if has_services(calibration.settings):
            sentences.append("Sockets: those of the reference services on the same host are among them.")
        if version := other_version(calibration):
            sentences.append(f"The calibration was made with Stampede {version}.")
        sentences.append("Results that are polled for (stampede_services.*.result) are there at the first request.")
        return sentences


def _load_for(asked: Asked, work: ScriptWork, script: str) -> Asked:
    """The rate of rounds, or of arrivals where a script has no rounds, at which a target is met; anything else as it
    is. Raises BadInput when the target is none of what the script does over and over."""
    if asked.what != "target":
        return asked
    part, what = (work.round, "rate") if work.has_rounds else (work.arrival, "arrivals")
    requests, steps = ({name: each for name, each in of.items() if each} for of in (part.requests, part.counts()))
    each = requests.get(asked.of) or steps.get(asked.of)
    if not each:
        whose = f"{'a round' if what == 'rate' else 'a holder'} of {script}"
        services = f"a service ({', '.join(sorted(requests))}), or " if requests else ""
        raise BadInput(
            f"--target is about {asked.of!r}, which is neither a service with requests in {whose}, nor a step of it; "
            f"it must be {services}a step ({', '.join(sorted(steps))})"
        )
    return Asked(what, asked.value / each)


def _by_service(work: ScriptWork, rates: Rates) -> dict[str, float]:
    """Steps per second of each service."""
    found: dict[str, float] = {}
    for part, rate in ((work.arrival, rates.arrivals), (work.round, rates.rounds)):
        for each in part.steps:
            if each.service:
                name = service_name(each.service)
                found[name] = found.get(name, 0.0) + each.count * rate
    return found


def service_name(service: str) -> str:
    """A step's service as the plan names it: the mediator's DID is called so."""
    return MEDIATOR if service.startswith("did:") else service


def _sum(one: Mapping[str, float], by: float, other: Mapping[str, float], other_by: float) -> dict[str, float]:
    """Two sets of figures, each multiplied, together."""
    return {name: one.get(name, 0.0) * by + other.get(name, 0.0) * other_by for name in dict.fromkeys([*one, *other])}


def _divided(needed: float, room: float) -> float:
    """How many hosts are needed; infinitely many when one has no room at all."""
    return 0.0 if needed <= 0 < room else needed / room if room > 0 else math.inf


def _read(settings: Mapping[str, Any], name: str) -> Any:
    """A setting in its shape. Raises BadInput."""
    shape = VARIABLES[name]
    try:
        return shape.read(settings[name]) if name in settings else shape.fallback
    except (TypeError, ValueError):
        raise BadInput(f"{name} is {settings[name]!r}; it must be {shape.right}") from None
