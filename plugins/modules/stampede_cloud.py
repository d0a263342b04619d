"""Documentation of the action plugin of the same name, which runs on the control node."""

DOCUMENTATION = """
module: stampede_cloud
short_description: decide about a fleet in a cloud
version_added: 0.3.0
description:
  - Checks the C(cloud_*) variables, compares a fleet with them, and says what a provider's error means. Asks no
    provider.
options:
  verb:
    description:
      - C(check) checks the settings of a fleet that is to be made, C(check_name) those by which it is found again.
      - C(list) puts what a provider lists into one form. C(plan) says which hosts are missing and what the fleet
        costs, C(status) describes each host. C(others) fails when hosts are somebody else's, C(taken) when something
        else has a name that is to be made, C(unknown) when a host that was not asked may have results.
      - C(remains), C(explain) and C(not_ended) fail with what O(failure) means, the first and the last with what
        costs money now.
      - C(remove_keys) removes what was made in C(cloud_keys_dir).
    type: str
    required: true
    choices: [check, check_name, list, plan, status, others, taken, unknown, remains, explain, not_ended, remove_keys]
  listed:
    description: For C(list), what the provider's module returned.
    type: list
    elements: dict
    default: []
  hosts:
    description: The fleet's hosts, as C(list) returned them.
    type: list
    elements: dict
    default: []
  asked:
    description: For C(unknown), names of the hosts that were asked for results.
    type: list
    elements: str
    default: []
  perhaps:
    description: For C(remains), names of what may be there, too, because it was asked for and not listed yet.
    type: list
    elements: str
    default: []
  left:
    description: For C(not_ended), names of what the provider has yet, if it could be asked.
    type: list
    elements: str
  price:
    description: Price of a host for an hour as the provider says, for C(plan), unless C(cloud_price) is set.
    type: float
    default: 0.0
  failure:
    description: Result of the task that failed.
    type: raw
author: Stampede contributors
"""

EXAMPLES = """
- name: Compare the fleet with its settings
  stampede_cloud:
    verb: plan
    hosts: "{{ cloud_there }}"
    price: 0.2
  register: cloud_plan
"""

RETURN = """
hosts:
  description: For C(list), the hosts that cost money, in the order of their numbers.
  type: list
  returned: when the verb is C(list)
missing:
  description: Names of the hosts to make.
  type: list
  returned: when the verb is C(plan)
expires:
  description: When their time is over, in seconds since 1970.
  type: int
  returned: when the verb is C(plan)
price:
  description: What a host costs in an hour; 0 if that is not known.
  type: float
  returned: when the verb is C(plan)
text:
  description: What is about to be made, and what it costs at most.
  type: str
  returned: when the verb is C(plan)
lines:
  description: A line for each host.
  type: list
  returned: when the verb is C(status)
"""
