"""When and how often an agent is restarted."""

from __future__ import annotations

from controller.agents.restart_policy import MAX_PAUSE, MAX_RESTARTS, RestartPolicy


def pauses(policy: RestartPolicy) -> list[float]:
    found = []
    while not policy.exhausted:
        found.append(policy.next_pause())
    return found


def test_an_agent_is_restarted_so_often_and_not_once_more() -> None:
    policy = RestartPolicy()
    assert len(pauses(policy)) == policy.restarts == MAX_RESTARTS == 10
    assert policy.exhausted


def test_the_pause_grows_up_to_its_limit() -> None:
    assert pauses(RestartPolicy(limit=4)) == [0.5, 1.0, 1.5, 2.0]
    longer = pauses(RestartPolicy(limit=40))
    assert longer == sorted(longer)
    assert longer[-1] == MAX_PAUSE == 10.0


def test_an_agent_that_may_not_be_restarted_is_given_up_at_once() -> None:
    assert RestartPolicy(limit=0).exhausted
