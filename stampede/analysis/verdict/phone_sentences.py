"""Sentences about phones: their links to the mediator, and what came late over them."""

from stampede import wording
from stampede.schema.summary import PhonesSummary


def phones_sentence(phones: PhonesSummary | None, pickup: str) -> str:
    """What became of the phones' links; empty when holders were no phones."""
    if phones is None:
        return ""
    holders, link = wording.number(phones.most_open, "holder"), "WebSocket" if pickup == "websocket" else "link"
    text = f"Up to {holders} at a time had a {link} to the mediator"
    if phones.dropped:
        text += f"; {wording.number(phones.dropped, 'was', 'were')} dropped"
    if phones.reconnected:
        mean, longest = wording.seconds(phones.reconnect_mean), wording.seconds(phones.reconnect_longest)
        text += f"; {phones.reconnected:,} came up again, within {mean} on average and {longest} at most"
    if phones.unanswered:
        text += f"; {wording.number(phones.unanswered, 'greeting')} got no answer"
    text += "."
    if phones.lost:
        were = wording.number(phones.lost, "link was", "links were")
        text += f" {were} down when the run ended: what was sent to those holders did not come."
    if phones.waited:
        text += f" {wording.number(phones.waited, 'message')} had waited at the mediator while a phone was away."
    if phones.held_back:
        text += (
            f" The mediator held back {wording.number(phones.held_back, 'message')} until it was poked, which real "
            "phones do not do; steps took seconds longer for it."
        )
    if phones.refused:
        were = wording.number(phones.refused, "message that came was", "messages that came were")
        text += f" {were} not taken; the agents' logs say why."
    return text
