"""Metrics in the format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from exgs.codec.constants import ErrorCode

_REACTION_BUCKETS_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 2.0, 5.0)


class Metrics:
    """The metrics of one server, in their own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.streams = Gauge("exgs_streams", "Open streams", registry=self.registry)
        self.connections = Gauge("exgs_connections", "Open connections", registry=self.registry)
        self.scenes = Gauge("exgs_scenes", "Scenes in the catalogue", registry=self.registry)
        self.refused_files = Gauge(
            "exgs_refused_files", "Files that are not valid scenes", registry=self.registry
        )
        self.answers = Counter(
            "exgs_http_answers", "HTTP answers by status", ["status"], registry=self.registry
        )
        self._by_status: dict[int, Counter] = {}
        self.file_bytes = Counter(
            "exgs_file_bytes", "Bytes of files sent over HTTP", registry=self.registry
        )
        self.layer_bytes = Counter(
            "exgs_stream_bytes", "Bytes of chunks streamed", ["layer"], registry=self.registry
        )
        self.page_bytes = Counter(
            "exgs_stream_page_bytes", "Bytes of index pages streamed", registry=self.registry
        )
        self.sessions = Counter("exgs_sessions", "Sessions opened", registry=self.registry)
        self.resumes = Counter(
            "exgs_resumes", "Sessions opened with a have-set (resumed)", registry=self.registry
        )
        self.rejects = Counter(
            "exgs_rejects", "Sessions ended by an error", ["code"], registry=self.registry
        )
        self.dropped = Counter(
            "exgs_dropped_connections",
            "Connections closed by the server",
            ["reason"],
            registry=self.registry,
        )
        self.reaction_s = Histogram(
            "exgs_view_to_chunk_seconds",
            "Time from the arrival of a view to the first chunk sent for it",
            buckets=_REACTION_BUCKETS_S,
            registry=self.registry,
        )

    def count_answer(self, status: int) -> None:
        """Count an HTTP response."""
        counter = self._by_status.get(status)
        if counter is None:  # looking it up by label takes most of the time
            counter = self._by_status[status] = self.answers.labels(str(status))
        counter.inc()

    def reject(self, code: ErrorCode) -> None:
        """Count a session that ended with an error."""
        self.rejects.labels(code.name.lower()).inc()
