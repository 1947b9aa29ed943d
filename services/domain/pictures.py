"""What a picture is, by its bytes, and how it comes inside a command (X09)."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode

from services.domain.world import Blob

MAX_BYTES = 10 * 1024 * 1024

_BEGINNINGS = (
    (b"%PDF-", "application/pdf"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
)


def media_type(content: bytes) -> str | None:
    """PDF, JPEG or PNG, whatever name or type came with it; None for anything else."""
    return next((kind for begins, kind in _BEGINNINGS if content.startswith(begins)), None)


def decoded(text: str) -> bytes | None:
    """The bytes of base64 text, line breaks allowed; None for what is none."""
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def blob(blob_id: str, tenant_id: str, content: bytes) -> Blob:
    """The stored picture of these bytes. Raises ValueError for what is no picture."""
    kind = media_type(content)
    if kind is None:
        raise ValueError("neither PDF nor JPEG nor PNG")
    return Blob(blob_id, tenant_id, kind, len(content), hashlib.sha256(content).hexdigest())
