"""Timing of a batch's stages, into `crossroads_batch_duration_seconds`."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

from services.kit.metrics import BATCH_DURATION_SECONDS

Stage = Literal["decode", "load", "decide", "store", "publish", "commit"]


class Stages:
    """One service's stage clocks; its metric children are looked up once.

    Pass one to whoever processes batches: `with stages.stage("load"): …`. Counts failures, too.
    """

    def __init__(self, service: str) -> None:
        self._observe = {
            stage: BATCH_DURATION_SECONDS.labels(service=service, stage=stage).observe
            for stage in ("decode", "load", "decide", "store", "publish", "commit")
        }

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measures what runs inside, in seconds."""
        began = perf_counter()
        try:
            yield
        finally:
            self.observe(stage, perf_counter() - began)

    def observe(self, stage: Stage, seconds: float) -> None:
        """Counts a duration that was measured elsewhere."""
        self._observe[stage](seconds)
