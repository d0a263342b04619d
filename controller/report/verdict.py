"""The run in words: did it pass, how much load did it bear, what was slow, what failed first.

The same sentences stand at the top of the page, in the terminal and in summary.json.
"""

from typing import Any

from controller.report import wording

SLOWEST = 3


def of(summary: dict[str, Any]) -> dict[str, Any]:
    """`outcome` (a word), `passed`, `headline` (a few words), `findings` (sentences, each with its subject).

    Outcomes: `passed` (steps were done and none failed, every host came to its end), `failed` (steps
    failed), `stopped` (ended early on request), `broken_off` (a host did not come to its end), `no_load`
    (no step was done).
    """
    outcome = _outcome(summary)
    findings = [
        ("load", _load(summary)),
        ("hosts", _hosts(summary)),
        ("slowest", _slowest(summary)),
        ("failures", _first_failure(summary)),
        ("generator", _generator(summary)),
    ]
    return {
        "outcome": outcome,
        "passed": outcome == "passed",
        "headline": _headline(summary, outcome),
        "findings": [{"about": about, "text": text} for about, text in findings if text],
    }


def _unfinished(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: host for name, host in summary["hosts"].items() if not host["finished"]}


def _outcome(summary: dict[str, Any]) -> str:
    load = summary["load"]
    if load["failed"]:
        return "failed"
    if not load["ok"]:
        return "no_load"
    unfinished = _unfinished(summary)
    if not unfinished:
        return "passed"
    return "stopped" if all(host["phase"] == "stopped" for host in unfinished.values()) else "broken_off"


def _headline(summary: dict[str, Any], outcome: str) -> str:
    load = summary["load"]
    match outcome:
        case "failed":
            ended = load["ok"] + load["failed"]
            share = wording.percent(load["failed"] / ended)
            return f"Failed: {wording.count(load['failed'])} of {wording.number(ended, 'step')} ({share})"
        case "no_load":
            return "No load was made: not one step was done"
        case "passed":
            return "Passed: no step failed"
        case "stopped":
            return "Stopped before its end; until then no step failed"
    return f"Broken off: {wording.listed(list(_unfinished(summary)))} did not come to the end; no step failed"


def _load(summary: dict[str, Any]) -> str:
    load, run = summary["load"], summary["run"]
    if not load["ok"] + load["failed"]:
        return ""
    hosts = wording.number(sum(1 for host in summary["hosts"].values() if host["records"]), "host")
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


def _hosts(summary: dict[str, Any]) -> str:
    sentences = []
    unfinished = _unfinished(summary)
    for name, host in list(unfinished.items())[:SLOWEST]:
        message = f" ({host['message'].rstrip('.')})" if host["message"] else ""
        match host["phase"]:
            case "failed":
                sentences.append(f"Host {name} failed{message}.")
            case "stopped":
                sentences.append(f"Host {name} was stopped before the run's end{message}.")
            case "missing":
                sentences.append(f"From host {name} nothing was collected.")
            case phase:
                heard = f", last heard of at {host['last_record']}" if host["last_record"] else ""
                sentences.append(f"Host {name} broke off while it was {phase}{heard}{message}.")
    if len(unfinished) > SLOWEST:
        more = wording.number(len(unfinished) - SLOWEST, "more host")
        sentences.append(f"{more} did not come to the end.")
    return " ".join(sentences)


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
            [*generator["reasons"], "The practice services shared its processors."]
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
