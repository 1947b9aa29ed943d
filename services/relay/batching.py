"""What both ways to deliver agree on: where a row goes, what fits, what an answer means."""

import zlib
from collections.abc import Sequence

from aiokafka import errors as kafka_errors

from services.relay.rows import Row

MAX_RECORD_BYTES = 8 * 1024 * 1024 - 1024
# Well below the 1 MiB a broker takes as one batch unless told otherwise.
BATCH_BYTES = 512 * 1024
# A new topic, or one whose leader moves, answers wrongly for a moment.
PASSES = 5
PASS_PAUSE_SECONDS = 0.1

REFUSES_RECORD = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTimestampError,
    kafka_errors.UnsupportedForMessageFormatError,
)
CLOSES_TOPIC = (
    kafka_errors.UnknownTopicOrPartitionError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.InvalidTopicError,
    kafka_errors.PolicyViolationError,
    kafka_errors.NotEnoughReplicasError,
    kafka_errors.NotEnoughReplicasAfterAppendError,
)
LEADER_MOVES = (
    kafka_errors.UnknownTopicOrPartitionError,
    kafka_errors.NotLeaderForPartitionError,
    kafka_errors.LeaderNotAvailableError,
)
# To connect to a node that is away may take long.
LOST = (kafka_errors.KafkaConnectionError, kafka_errors.NodeNotReadyError)


def partition_of(row: Row, partitions: Sequence[int]) -> int:
    """Which of a topic's partitions a row goes to: by its key, as librdkafka does it.

    The Java client's hash, written in Python, took a sixth of the relay's time.
    """
    return partitions[zlib.crc32(row.key or b"") % len(partitions)]


def size_of(row: Row) -> int:
    """About how many bytes the row's record takes."""
    return len(row.value or b"") + len(row.headers) + len(row.key or b"")
