"""Every operation on Kafka that has a document has its decision."""

from schemas.operations import OPERATIONS
from services.domain.operations.table import TABLE


def test_every_command_with_a_document_is_decided() -> None:
    taken = {each.name for each in OPERATIONS if each.base is not None and each.document}
    assert taken <= set(TABLE)
