"""The run in words: did it pass, how much load did it bear, what was slow, what failed first.

The same sentences stand at the top of the page, in the terminal and in summary.json.
"""

from typing import Any

from stampede import wording
from stampede.analysis import host_differences as comparison
from stampede.analysis import threshold_verdicts as thresholds
from stampede.analysis import time_spent

SLOWEST = 3
MOST_HOSTS = 5


def of(summary: dict[str, Any]) -> dict[str, Any]:
    """`outcome` (a word), `passed`, `headline` (a few words), `findings` (sentences, each with its subject and
    whether it is a `warning`).

    Outcomes: `passed` (steps were done, none failed against what is allowed, every host came to its end), `failed`
    (steps failed that no threshold on errors is about), `thresholds` (one was crossed, or there was nothing to judge
    it by), `stopped` (ended early on request), `broken_off` (a host did not come to its end), `no_load` (no step was
    done). Hosts that were left out before the start have no end to come to.
    """
    outcome = _outcome(summary)
    generator, compared = summary["generator"], summary["comparison"]
    findings = [
        *(("thresholds", its["sentence"], True) for its in _crossed(summary)),
        ("load", _load(summary), False),
        *(("hosts", text, True) for text in _hosts(summary)),
        ("start", _start(summary), False),
        ("time", time_spent.sentence(summary["time_spent"]), False),
        ("slowest", _slowest(summary), False),
        ("failures", _first_failure(summary), False),
        ("comparison", comparison.sentence(compared, summary["hosts"]), bool(compared and compared["stand_out"])),
        ("generator", _generator(summary), generator["bottleneck"] is not False),
    ]
    return {
        "outcome": outcome,
        "passed": outcome == "passed",
        "headline": _headline(summary, outcome),
        "findings": [{"about": about, "text": text, "warning": warning} for about, text, warning in findings if text],
    }


def _unfinished(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: host for name, host in summary["hosts"].items() if host["took_part"] and not host["finished"]}


def _crossed(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The thresholds that were not kept, or could not be judged."""
    return [its for its in summary["thresholds"] if not its["passed"]]


def _outcome(summary: dict[str, Any]) -> str:
    load = summary["load"]
    if thresholds.unjudged_failures(summary):
        return "failed"
    if not load["ok"] + load["failed"]:
        return "no_load"
    unfinished = _unfinished(summary)
    if any(host["phase"] != "stopped" for host in unfinished.values()):
        return "broken_off"
    if _crossed(summary):
        return "thresholds"
    return "stopped" if unfinished else "passed"


def _headline(summary: dict[str, Any], outcome: str) -> str:
    found, crossed = summary["thresholds"], _crossed(summary)
    failures = f"{_share_that_failed(summary['load'])} failed" if summary["load"]["failed"] else "no step failed"
    match outcome:
        case "failed":
            headline = f"Failed: {_share_that_failed(summary['load'])}"
        case "no_load":
            return "No load was made: not one step was done"
        case "thresholds":
            return f"Failed: {_how_many(found, crossed)}: {wording.listed([its['text'] for its in crossed])}"
        case "passed" if found:
            kept = "the threshold was" if len(found) == 1 else f"all {len(found)} thresholds were"
            return f"Passed: {kept} kept, {failures}"
        case "passed":
            return f"Passed: {failures}"
        case "stopped":
            return f"Stopped before its end; until then {failures}"
        case _:
            headline = f"Broken off: {wording.listed(list(_unfinished(summary)))} did not come to the end; {failures}"
    return f"{headline}; {_how_many(found, crossed)}" if crossed else headline


def _share_that_failed(load: dict[str, Any]) -> str:
    ended = load["ok"] + load["failed"]
    share = wording.percent(load["failed"] / ended)
    return f"{wording.count(load['failed'])} of {wording.number(ended, 'step')} ({share})"


def _how_many(found: list[dict[str, Any]], crossed: list[dict[str, Any]]) -> str:
    """Of how many thresholds what is wrong: "1 of 3 thresholds was crossed"."""
    open_ = sum(its["passed"] is None for its in crossed)
    whole = wording.number(len(found), "threshold")
    parts = []
    if over := len(crossed) - open_:
        parts.append(f"{over} of {whole} {'was' if over == 1 else 'were'} crossed")
    if open_:
        parts.append(f"{open_}{'' if parts else f' of {whole}'} could not be judged")
    return " and ".join(parts)


def _load(summary: dict[str, Any]) -> str:
    load, run = summary["load"], summary["run"]
    if not load["ok"] + load["failed"]:
        return ""
    hosts = wording.number(sum(1 for host in summary["hosts"].values() if sum(host["steps"].values())), "host")
    peak = load["peak_active_holders"]
    who = f"Up to {wording.number(peak, 'active holder')} on {hosts}" if peak else hosts[:1].upper() + hosts[1:]
    text = (
        f"{who} did {wording.number(load['ok'], 'step')} in {wording.duration(run['duration'])}: "
        f"{wording.rate(load['steps_per_second']).replace('/s', ' steps/s')}"
    )
    if load["presentations"]:
        text += f", of them {wording.rate(load['presentations_per_second']).replace('/s', ' presentations/s')}"
    if load["interrupted"]:
        cut_off = wording.number(load["interrupted"], "step was", "steps were")
        text += f". {cut_off} still under way at the end and cut off"
    return text + "."


def _hosts(summary: dict[str, Any]) -> list[str]:
    """What happened to hosts, a text for each of them; hosts that were stopped alike share one."""
    texts, stopped = [], []
    for name, host in summary["hosts"].items():
        if not host["faults"] and host["phase"] == "stopped":
            stopped.append(name)
        elif host["faults"] or host["message"] or (host["took_part"] and not host["finished"]):
            texts.append(_host(name, host, summary))
    if len(texts) > MOST_HOSTS:
        more = wording.number(len(texts) - MOST_HOSTS, "more host")
        texts = [*texts[:MOST_HOSTS], f"Something happened to {more}; see the table of the load hosts."]
    if stopped:
        hosts = "Host" if len(stopped) == 1 else "Hosts"
        was = "was" if len(stopped) == 1 else "were"
        message = summary["hosts"][stopped[0]]["message"].rstrip(".")
        texts.append(f"{hosts} {wording.listed(stopped)} {was} stopped before the run's end{_bracketed(message)}.")
    return texts


def _host(name: str, host: dict[str, Any], summary: dict[str, Any]) -> str:
    """What happened to a host and since when, and what of it is in the report."""
    message = host["message"].rstrip(".")
    if not host["faults"]:
        if host["phase"] == "failed":
            return f"Host {name} failed{_bracketed(message)}."
        if host["finished"]:
            return f"Host {name} came to its end, but it said: {message}."
        if host["phase"] == "missing":
            return f"From host {name} nothing was collected."
        return f"Host {name} did not come to the end: the last that is known of it is that it was {host['phase']}."
    sentences = []
    for fault in host["faults"]:
        sentences.append(fault["text"])
        if fault["kind"] in ("lost", "died", "broke_off") and fault["after"] is not None:
            sentences.append(f"That was {_moment(fault)}.")
    if message and not any(message in sentence for sentence in sentences):
        sentences.append(f"It said: {message}.")
    told = " ".join(sentences)
    return f"{told} {_what_there_is(host, summary, told)}".rstrip()


def _what_there_is(host: dict[str, Any], summary: dict[str, Any], told: str) -> str:
    """How much of a host to which something happened is in the report; `told` is what was said before."""
    if not host["took_part"]:
        others = [its["holders"] for its in summary["hosts"].values() if its["took_part"] and its["holders"]]
        given = others and sum(others) == summary["run"]["settings"].get("stampede_holders")
        return "Its holders were given to the others." if given else ""
    steps = sum(host["steps"].values())
    here = f"its {wording.number(steps, 'step')} {'is' if steps == 1 else 'are'} in this report"
    if host["finished"]:
        return f"It went on by itself and came to its end; {here}."
    if host["phase"] == "stopped":
        return f"It was stopped before the run's end; {here}."
    if not host["records"]:
        return "Nothing of it is in this report."
    counted = host["steps_counted"]
    if counted is not None and counted > steps:
        return f"Of the {wording.number(counted, 'step')} that it had counted, {steps:,} are in this report."
    last = host["last_record"][11:19]
    return f"{here.capitalize()}." if last in told else f"Its last record is of {last} UTC; {here}."


def _moment(fault: dict[str, Any]) -> str:
    """When a fault was, for people: "at 18:05:02 UTC, 41 s after the start"."""
    since, after = fault["since"][11:19], fault["after"]
    at = "" if f"{since} UTC" in fault["text"] else f"at {since} UTC, "
    return f"{at}{wording.duration(abs(after))} {'after' if after >= 0 else 'before'} the start"


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""


def _start(summary: dict[str, Any]) -> str:
    """How nearly together the hosts began, and how good that figure is."""
    skew = summary["run"]["start_skew"]
    if skew is None:
        return ""
    hosts = summary["hosts"]
    delays = {name: host["start_delay"] for name, host in hosts.items() if host["start_delay"] is not None}
    last = max(delays, key=lambda name: delays[name])
    text = (
        f"The {wording.number(len(delays), 'host')} began within {wording.seconds(skew)} of each other by their own "
        f"clocks, the last of them ({last}) {wording.seconds(abs(delays[last]))} "
        f"{'after' if delays[last] >= 0 else 'before'} the agreed time."
    )
    clocks = [host["clock"] for name, host in hosts.items() if name in delays and host["clock"]]
    if len(clocks) < len(delays):
        return f"{text} How far the clocks of {'these' if not clocks else 'all of these'} agreed is not known."
    offset = max(abs(clock["offset"]) for clock in clocks)
    uncertainty = max(clock["uncertainty"] for clock in clocks)
    return (
        f"{text} The hosts' clocks agreed with the control node's within {wording.seconds(offset)} "
        f"(measured to ± {wording.seconds(uncertainty)})."
    )


def _slowest(summary: dict[str, Any]) -> str:
    by_p95 = sorted(
        ((its["service_time"]["p95"], name) for name, its in summary["steps"].items() if its["ok"]),
        reverse=True,
    )
    if not by_p95:
        return ""
    one = len(by_p95) == 1
    named = [f"{name} {wording.seconds(p95)}" for p95, name in by_p95[:SLOWEST]]
    return f"Slowest {'step' if one else 'steps'} (p95 of the service time): {', '.join(named)}."


def _first_failure(summary: dict[str, Any]) -> str:
    if not summary["errors"]:
        return ""
    name, error = min(summary["errors"].items(), key=lambda entry: float(entry[1]["first"]["after"]))
    first = error["first"]
    who = f"{first['step']} of holder {first['holder']} on host {first['host']}"
    detail = f", {first['detail'].rstrip('.')}" if first["detail"] else ""
    return f"The first failure came at {wording.clock(first['after'])}: {who} ({name}{detail})."


def _generator(summary: dict[str, Any]) -> str:
    generator = summary["generator"]
    if generator["bottleneck"] is None:
        if not summary["steps"]:
            return ""
        return (
            "Whether the load generator was the bottleneck is not known: "
            "it recorded nothing about itself during the load."
        )
    if generator["bottleneck"]:
        shared = summary["run"]["settings"].get("stampede_reference_services") is True
        why = (
            [*generator["reasons"], "The reference services shared its processors."]
            if shared
            else generator["reasons"]
        )
        return " ".join(["The load generator was the bottleneck.", *why])
    lag = wording.seconds(generator["schedule_lag"]["p99"])
    mean, most = (wording.percent(generator["host_cpu_share"][figure]) for figure in ("mean", "max"))
    return (
        f"The load generator was not the bottleneck: 99 % of steps began within {lag} of when they were due, "
        f"and its hosts' processors were {mean} busy on average, {most} at most."
    )
