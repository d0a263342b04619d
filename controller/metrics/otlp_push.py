"""Pushes a run's journal as OpenTelemetry metrics: ``python -m controller.metrics.otlp_push RUN_DIR``.

It is told what to do, and goes on, as ``controller.metrics.push`` is and does; ``target`` has the fields of ``Otlp``,
``secret`` the secrets by name, and the progress is in ``push-otlp.json``. The journal is the queue here as well: what
is exported sums up its lines up to a place, and the next lines are not read before the collector has acknowledged
that, or has refused it for good.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics.export import MetricsData

from controller.metrics.journal_tail import JournalTail
from controller.metrics.otlp_points import Totals
from controller.metrics.push import EndOfJournal, Pusher, begin, read_progress, write_progress
from stampede.influxdb.client import Response
from stampede.otlp import Message, OtlpSession, failure_message
from stampede.schema.masking import Mask
from stampede.schema.push_progress import OTLP_FILE
from stampede.schema.settings.otlp_settings import Otlp

PAUSE = 10.0
"""Seconds between two exports."""
TIMEOUT = 10.0
"""Seconds for an export, with the attempts that OpenTelemetry's exporter makes by itself."""
UNREADABLE = "lines of the journal cannot be read"
MAX_LINES = 5000
"""Lines of the journal that an export is ahead of the one before at most."""


class Collector:
    """Exports metrics, and says what became of them."""

    def __init__(self, target: Otlp, secrets: Mapping[str, str]) -> None:
        """Raises BadInput when the CA file cannot be used."""
        self._mask = Mask(secrets.values())
        self._session = OtlpSession(target)
        self._exporter = OTLPMetricExporter(
            endpoint=target.url,
            headers=target.headers_with(secrets),
            timeout=TIMEOUT,
            compression=Compression.Gzip,
            session=self._session,
        )

    def export(self, metrics: MetricsData) -> tuple[Response, int]:
        """The answer, and how many of the data points the collector refused although it is ok.

        The exporter's own result is not enough: it takes redirects for success, and does not read partial success.
        """
        self._session.response = Response(0, "nothing was sent")
        self._exporter.export(metrics)
        response, sent = self._session.response, self._session.message
        message, refused = response.message, 0
        with contextlib.suppress(DecodeError, ParseError, RecursionError):
            if response.ok:
                partly = _taken(sent).partial_success
                message, refused = partly.error_message, max(0, partly.rejected_data_points)
            elif sent.body and not sent.is_json:  # in JSON it is the response's already
                message = Status.FromString(sent.body).message
        return replace(response, message=self._mask(message)), refused


def _taken(sent: Message) -> ExportMetricsServiceResponse:
    """Raises DecodeError, ParseError or RecursionError."""
    taken = ExportMetricsServiceResponse()
    if sent.is_json:
        Parse(sent.body, taken, ignore_unknown_fields=True)
    else:
        taken.ParseFromString(sent.body)
    return taken


class Export:
    """Delivers what a journal comes to with one more batch of lines; see ``push.Deliverable``."""

    def __init__(self, collector: Collector, totals: Totals, batch: bytes) -> None:
        self.points = self.rejected = 0
        self.first_rejected = ""
        self.too_large = False
        self._collector = collector
        self._refused = ""
        unreadable = totals.unreadable
        totals.forget_moments()
        totals.add(batch)
        self._metrics = totals.metrics()
        self._unreadable = UNREADABLE if totals.unreadable else ""
        if found := totals.unreadable - unreadable:
            self._reject(found, UNREADABLE)

    def resume(self) -> Response | None:
        """Export. Returns None when the collector has taken the metrics or refused them, else why to retry later."""
        if self._metrics is None:
            return None
        response, refused = self._collector.export(self._metrics)
        points = _data_points(self._metrics)
        if response.ok:
            self.points += max(0, points - refused)
            if refused:
                self._refuse(refused, response.excerpt or "it refused some data points, and gave no reason")
        elif response.temporary or response.untrusted:
            return response
        else:  # nothing comes of sending it again; the next export has all of it, and newer
            self._refuse(
                points, f"it answered {response.status}" + (f": {response.excerpt}" if response.excerpt else "")
            )
        return None

    def lacking(self, before: str) -> str:
        """Why the collector does not have all sums and histograms up to here; ``before``: up to this batch.

        Each export has all of them, so that the newest one makes up for those that were refused before it.
        """
        return (before if self._metrics is None else self._refused) or self._unreadable

    def _refuse(self, count: int, why: str) -> None:
        self._refused = why
        self._reject(count, why)

    def _reject(self, count: int, why: str) -> None:
        self.rejected += count
        self.first_rejected = self.first_rejected or why


def _data_points(metrics: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in metrics.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def totals_of(tail: JournalTail, end: int) -> Totals:
    """What a journal comes to, up to ``end``, where a pusher before this one stood; leaves ``tail`` there."""
    totals = Totals()
    while tail.offset < end and (batch := tail.batch(MAX_LINES)[: end - tail.offset]):
        totals.add(batch)
        tail.advance(batch)
    return totals


def main() -> int:
    """The process."""
    folder, given = begin()
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]  # the run's settings count, not those of whoever plays it
    target = Otlp(**given["target"])
    progress = replace(read_progress(folder, OTLP_FILE), server=target.name, complete=False, error="")
    tail = JournalTail(folder / "journal.lp")
    totals = totals_of(tail, progress.offset)
    progress = replace(progress, offset=tail.offset)
    collector = Collector(target, given["secret"])
    pusher = Pusher(
        tail,
        partial(Export, collector, totals),
        EndOfJournal(sys.stdin.fileno(), given["flush"]),
        progress,
        describe_failure=partial(failure_message, target),
        save=partial(write_progress, folder, file=OTLP_FILE),
        rng=random.Random(),
        pause=PAUSE,
    )
    return 0 if pusher.run() else 1


if __name__ == "__main__":
    sys.exit(main())
