"""What can go wrong: bad input before a run, and the error classes of a step."""


class BadInput(ValueError):
    """The user's settings, script or files cannot be used.

    ``sentences`` holds one sentence per problem; each names the variable or file, the value found
    and what would be right.
    """

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = list(sentences)


class StepError(Exception):
    """A step did not reach its end.

    ``error_class`` is what reports and Grafana group by; the message says what did not happen, and where.
    """

    error_class = "script_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ServiceRefused(StepError):
    """The service answered an HTTP request with a status of 400 or above, or with something that cannot be used:
    too long an answer, one that cannot be unpacked, or a redirect that is not followed."""

    error_class = "service_refused"


class ServiceUnreachable(StepError):
    """No HTTP answer, or not all of it: request not sendable, name not resolved, connection refused or broken."""

    error_class = "service_unreachable"


class TlsError(StepError):
    """The service's certificate was not trusted, or the TLS handshake failed."""

    error_class = "tls_error"


class BadInvitation(StepError):
    """The service's answer holds no invitation, or one that the holder's agent does not take."""

    error_class = "bad_invitation"


class UnsupportedProtocol(StepError):
    """The service speaks a version or format of a protocol that holders leave out on purpose."""

    error_class = "unsupported_protocol"


class StepTimeout(StepError):
    """The step's time was over; the detail names the state waited for and the last state seen."""

    error_class = "timeout"


class NoOffer(StepError):
    """The issuer sent no credential offer within the step's time."""

    error_class = "no_offer"


class ProblemReport(StepError):
    """The other agent sent a problem report (Aries RFC 0035) or the exchange was abandoned."""

    error_class = "problem_report"


class AgentDied(StepError):
    """The holder's ACA-Py process ended while the step was under way, or was not up."""

    error_class = "agent_died"


class AgentLost(AgentDied):
    """The holder's ACA-Py process ended too often and is not started again."""


class AgentError(StepError):
    """The holder's ACA-Py process refused an admin request or failed in it."""

    error_class = "agent_error"


class RequestUnmatched(StepError):
    """The verifier requests what is in no credential of the holder, and what it may not say by itself."""

    error_class = "request_unmatched"


class BadMessage(StepError):
    """A menu, question or basic message of the other agent has not the shape that its protocol gives it, or is too
    long."""

    error_class = "bad_message"


class ChoiceUnmatched(StepError):
    """The script chooses what the menu that was received does not offer, or a question does not allow."""

    error_class = "choice_unmatched"


class PresentationRejected(StepError):
    """The verifier checked the presentation and found it not valid."""

    error_class = "presentation_rejected"


class PresentationUnverified(StepError):
    """The verifier acknowledged the presentation, but its result request says neither verified nor refused."""

    error_class = "presentation_unverified"


class NoCredential(StepError):
    """The step needs a credential that an earlier step did not deliver."""

    error_class = "no_credential"


class NoConnection(StepError):
    """The step needs a connection that an earlier step did not make."""

    error_class = "no_connection"


class NothingToAnswer(StepError):
    """The step needs a menu or a question that an earlier step did not receive."""

    error_class = "nothing_to_answer"


def noted(expired: TimeoutError) -> str:
    """What was noted (PEP 678) about what a timeout cut off; empty when nothing was."""
    return "; ".join(getattr(expired.__cause__, "__notes__", ()))
