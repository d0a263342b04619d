"""Sentences about a search: what was found, and what the law of its throughput says."""

from stampede import wording
from stampede.analysis.search import confirming
from stampede.schema.summary import Interval, SearchSummary


def search_sentence(search: SearchSummary | None) -> str:
    """How it was found; empty for a run that was no search."""
    if search is None:
        return ""
    count = wording.number(len(search.levels), "level was", "levels were")
    text = f"{count} judged"
    level = confirming(search)
    if level and level.per_second is not None:
        rate = wording.rate(level.per_second).replace("/s", " steps/s")
        text += f"; {wording.number(level.holders, 'holder')} made {rate}"
    return f"{text}."


def fit_sentence(search: SearchSummary | None) -> str:
    """What the Universal Scalability Law says; empty without a fit."""
    if search is None or search.fit is None:
        return ""
    fit = search.fit
    if fit.peak_per_second is None or fit.knee is None:
        return (
            "Throughput grew in proportion to the number of holders: the limit of the services is beyond the loads "
            "that were tried."
        )
    ceiling = wording.rate(fit.peak_per_second).replace("/s", " steps/s")
    if fit.peak_holders is None or fit.peak_holders > max(level.holders for level in search.levels):
        ceiling += " (extrapolated)"
    text = (
        f"By the Universal Scalability Law throughput has its knee at "
        f"{_holders(fit.knee)}{_between(fit.knee_between)} and its ceiling at {ceiling}"
    )
    if fit.peak_holders is not None:
        text += f", with {_holders(fit.peak_holders)}{_between(fit.peak_holders_between)}; more make less."
    else:
        text += f"; {wording.percent(min(1.0, fit.contention))} of the work is done one after the other."
    return f"{text} How sure that is cannot be told: {fit.no_intervals}." if fit.no_intervals else text


def _holders(value: float) -> str:
    return wording.number(round(value), "holder")


def _between(interval: Interval | None) -> str:
    """In brackets; empty where there is none."""
    if interval is None:
        return ""
    low = "0" if interval.low is None else f"{interval.low:,.0f}"
    return f" ({low} or more)" if interval.high is None else f" (95 % interval {low} to {interval.high:,.0f})"
