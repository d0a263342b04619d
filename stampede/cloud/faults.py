"""What an error of a provider means, in one sentence that says what would be right."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stampede.cloud.settings import CREDENTIALS
from stampede.machine.home import HOME

LONGEST = 300
"""Characters of what a provider says that are passed on."""
NO_ANSWER = "it did not answer in time"


def install_collections(wanted: Path = HOME / "requirements.yml") -> str:
    """The command for it, which needs no activated virtual environment."""
    return f"{sys.executable} -m ansible galaxy collection install -r {wanted}"


_AWS_KEYS = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, to keys that may use EC2"
_HETZNER_KEY = "set HCLOUD_TOKEN to a token of the project that may read and write"
_LATER = "the provider is at fault; play it again later"
_NOT_REACHED = "check cloud_region and that this machine reaches the provider's API"
_QUOTA = "lower cloud_hosts, choose another cloud_type or cloud_region, or have the provider raise the limit"

ADVICE = (
    # AWS: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    (r"ServiceLinkedRoleCreationNotPermitted", "allow iam:CreateServiceLinkedRole once, or set cloud_spot to false"),
    (r"Unable to locate credentials|Partial credentials|config profile", _AWS_KEYS),
    (r"AuthFailure|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch", _AWS_KEYS),
    (r"ExpiredToken|RequestExpired", _AWS_KEYS),
    (r"UnauthorizedOperation|AccessDenied", "allow it to these AWS credentials; the documentation has the policy"),
    (NO_ANSWER, f"{_NOT_REACHED}, or play it again later"),
    (r"RequestLimitExceeded|Throttling", _LATER),
    (r"LimitExceeded|Insufficient\w*Capacity|MaxSpotInstanceCount", _QUOTA),
    (r"InsufficientFreeAddressesInSubnet", "choose a cloud_subnet with more addresses, or lower cloud_hosts"),
    (r"InvalidAMIID|InvalidImageID", "cloud_image must be an AMI of cloud_region"),
    (r"architecture", "cloud_image must be made for the processors of cloud_type"),
    (r"InvalidBlockDeviceMapping|smaller than snapshot", "cloud_disk must be as large as cloud_image, or larger"),
    (r"InvalidSubnet", "cloud_subnet must be a subnet of cloud_region"),
    (r"Unsupported.*Availability Zone", "choose a cloud_subnet in another zone, or another cloud_type"),
    (r"InvalidInstanceType|instance type", "cloud_type must be a kind that cloud_region has"),
    (r"doesn't match a supported format", "cloud_region must be the name of a region, such as eu-central-1"),
    (r"Could not connect to the endpoint|EndpointConnectionError|Connect timeout|Read timeout", _NOT_REACHED),
    (r"\bInternalError|InternalFailure|ServiceUnavailable|\(Unavailable\)|reached max retries", _LATER),
    # Hetzner: https://docs.hetzner.cloud/reference/cloud#errors
    (r"resource_limit_exceeded|limit exceeded|resource_unavailable|placement_error", _QUOTA),
    (r"token_readonly", _HETZNER_KEY),
    (r"\blocked\b|protected", "another action on it is under way, or its protection is on; play it again later"),
    (r"rate_limit_exceeded|server_error|service_error|unavailable|\b50[0-9]\b|timeout", _LATER),
    (r"api_token|unauthorized|forbidden|Invalid Hetzner Cloud API Token", _HETZNER_KEY),
    (r"Connection refused|Max retries exceeded|Failed to establish|timed out|service not known", _NOT_REACHED),
    (r"Could not (load|resolve)|couldn't resolve module|was not found in configured",
     f"install its collection: {install_collections()}"),
    (r"(boto3|botocore|dateutil).*(required|import)|Failed to import",
     f"install what it needs: {sys.executable} -m pip install -r {HOME / 'requirements.txt'}"),
)  # fmt: skip
"""What to do, by a pattern of what the provider, or Ansible's module, says. The first that is found is taken."""


def explain(result: Mapping[str, Any] | str) -> str:
    """A failed task's result, or an exception's text, as a sentence without its full stop.

    All of it is shortened and in one line, without the credentials of the environment.
    """
    said = result if isinstance(result, str) else _said(result)
    for secret in filter(None, (os.environ.get(name, "").strip() for name in CREDENTIALS)):
        said = said.replace(secret, "***")
    text = " ".join(said.split()).removeprefix("Task failed: ").removeprefix("Module failed: ")
    advice = next((advice for pattern, advice in ADVICE if re.search(pattern, text, re.IGNORECASE)), "")
    short = re.sub(r"An error occurred (\(\S+\)) when calling the (\S+) operation(?: \(reached max retries: \d+\))?",
                   r"\2 \1", text)  # fmt: skip
    short = short.rstrip(". ") if len(short) <= LONGEST else f"{short[:LONGEST]}..."
    return f"{short}{'; ' if advice else ''}{advice}"


def _said(result: Mapping[str, Any]) -> str:
    """What a task that failed said: in a loop, what its first failed item did."""
    for item in result.get("results") or ():
        if item.get("failed"):
            return _said(item)
    code = (result.get("failure") or {}).get("code") or (result.get("error") or {}).get("code") or ""
    text = str(result.get("msg") or "it failed and did not say why")
    return text if not code or code in text else f"{text} ({code})"
