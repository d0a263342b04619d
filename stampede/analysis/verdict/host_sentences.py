"""Sentences about load hosts: what happened to whom, and how closely together they started."""

from stampede import wording
from stampede.schema.faults import FINAL
from stampede.schema.host_summary import HostFault, HostSummary
from stampede.schema.phases import Phase
from stampede.schema.records import EventKind
from stampede.schema.summary import LossKind, Summary

MAX_HOSTS = 5
MAX_LOSSES = 10


def host_sentences(summary: Summary) -> list[str]:
    """What happened to hosts, a text for each of them; hosts that were stopped alike share one."""
    texts, stopped = [], []
    for name, host in summary.hosts.items():
        if not host.faults and host.phase == Phase.STOPPED:
            stopped.append(name)
        elif host.faults or host.message or (host.took_part and not host.finished):
            texts.append(_host(name, host, summary))
    if len(texts) > MAX_HOSTS:
        more = wording.number(len(texts) - MAX_HOSTS, "more host")
        texts = [*texts[:MAX_HOSTS], f"{more} had problems; see the table of load hosts."]
    if stopped:
        hosts, were = ("Host", "was") if len(stopped) == 1 else ("Hosts", "were")
        reason = _bracketed(summary.hosts[stopped[0]].message.rstrip("."))
        texts.append(f"{hosts} {wording.listed(stopped)} {were} stopped before the end of the run{reason}.")
    return texts


def loss_sentences(summary: Summary) -> list[str]:
    """What is missing from the records, as far as ``host_sentences`` does not tell it."""
    hosts = summary.hosts
    texts = [
        loss.text
        for loss in summary.losses
        if loss.kind != LossKind.HOST or loss.host not in hosts or hosts[loss.host].finished
    ]
    if len(texts) > MAX_LOSSES:
        texts[MAX_LOSSES:] = [
            f"{wording.number(len(texts) - MAX_LOSSES, 'more thing is', 'more things are')} missing."
        ]
    return texts


def start_sentence(summary: Summary) -> str:
    """How closely together the hosts started, and how good that figure is; empty with fewer than two hosts."""
    if summary.run.start_skew is None:
        return ""
    hosts = summary.hosts
    delays = {name: host.start_delay for name, host in hosts.items() if host.start_delay is not None}
    last = max(delays, key=lambda name: delays[name])
    text = (
        f"The {wording.number(len(delays), 'host')} started within {wording.seconds(summary.run.start_skew)} of each "
        f"other by their own clocks, the last of them ({last}) {wording.seconds(abs(delays[last]))} "
        f"{'after' if delays[last] >= 0 else 'before'} the agreed time."
    )
    clocks = [clock for name in delays if (clock := hosts[name].clock)]
    if len(clocks) < len(delays):
        return f"{text} How closely {'all ' if clocks else ''}their clocks agreed is not known."
    offset = max(abs(clock.offset) for clock in clocks)
    uncertainty = max(clock.uncertainty for clock in clocks)
    return (
        f"{text} The hosts' clocks agreed with the control node's to within {wording.seconds(offset)} "
        f"(measured to ± {wording.seconds(uncertainty)})."
    )


def _host(name: str, host: HostSummary, summary: Summary) -> str:
    """What happened to a host and since when, and how much of its data is in the report."""
    message = host.message.rstrip(".")
    if not host.faults:
        if host.phase == Phase.FAILED:
            return f"Host {name} failed{_bracketed(message)}."
        if host.finished:
            return f"Host {name} finished, but reported: {message}."
        if host.phase == "missing":
            return f"Nothing was collected from host {name}."
        if host.phase == "unknown":
            return f"Host {name} did not finish; it recorded no phase."
        return f"Host {name} did not finish; its last known phase was {host.phase}."
    sentences = []
    for fault in host.faults:
        sentences.append(fault.text)
        if fault.kind in (*FINAL, EventKind.BROKE_OFF) and fault.since and fault.after is not None:
            sentences.append(f"That was {_moment(fault, fault.since, fault.after)}.")
    if message and not any(message in sentence for sentence in sentences):
        sentences.append(f"It reported: {message}.")
    text = " ".join(sentences)
    return f"{text} {_reported_data(host, summary, text)}".rstrip()


def _reported_data(host: HostSummary, summary: Summary, text: str) -> str:
    """How much data of a host to which something happened is in the report; `text` is what was said before."""
    if not host.took_part:
        holders = [other.holders for other in summary.hosts.values() if other.took_part and other.holders]
        reassigned = holders and sum(holders) == summary.run.settings.get("stampede_holders")
        return "Its holders were reassigned to the other hosts." if reassigned else ""
    steps = host.steps.total
    included = f"its {wording.number(steps, 'step')} {'is' if steps == 1 else 'are'} in this report"
    if host.finished:
        return f"It carried on by itself and finished; {included}."
    if host.phase == Phase.STOPPED:
        return f"It was stopped before the end of the run; {included}."
    if not host.records or not host.last_record:
        return "None of its data is in this report."
    if host.steps_counted is not None and host.steps_counted > steps:
        return (
            f"Of the {wording.number(host.steps_counted, 'step')} that it had counted, {steps:,} are in this report."
        )
    last = host.last_record[11:19]
    return f"{included.capitalize()}." if last in text else f"Its last record is from {last} UTC; {included}."


def _moment(fault: HostFault, since: str, after: float) -> str:
    """When a fault began: "at 18:05:02 UTC, 41 s after the start"."""
    time_of_day = f"{since[11:19]} UTC"
    at = "" if time_of_day in fault.text else f"at {time_of_day}, "
    return f"{at}{wording.duration(abs(after))} {'after' if after >= 0 else 'before'} the start"


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""
