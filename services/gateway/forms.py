"""A form with a picture, read as it comes: the picture goes to a temporary file, not into memory.

Whatever is wrong with the form as such ends its reading; what is wrong in it is for others to say.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import structlog
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import Request

from services.domain.pictures import MAX_BYTES
from services.gateway.bodies import Patience, receive
from services.gateway.dispositions import file_name, parsed
from services.gateway.problems import Problem, away, entry, picture_too_large, too_large

log = structlog.get_logger()

MULTIPART = "multipart/form-data"
PICTURE = "file"

_IN_MEMORY = 256 * 1024
_PIECE = 256 * 1024
_MOST_TEXT = 256 * 1024
_MOST_PARTS = 100
# Beside the picture: texts, headers of parts, boundaries.
_MOST_BYTES = MAX_BYTES + 1024 * 1024


class Upload:
    """A picture as it was sent; usable within its `with`, which removes its temporary file.

    `head` are its first bytes, `sha256` is in hex.
    """

    def __init__(self) -> None:
        self.size = 0
        self.head = b""
        self._digest = hashlib.sha256()
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed on exit
        self._waiting: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """Of all bytes so far."""
        return self._digest.hexdigest()

    def add(self, piece: bytes) -> None:
        """Take some bytes; `flush` puts them away. Raises Problem 413 beyond the limit."""
        self.size += len(piece)
        if self.size > MAX_BYTES:
            raise picture_too_large(MAX_BYTES)
        if len(self.head) < 16:
            self.head = (self.head + piece)[:16]
        self._digest.update(piece)
        self._waiting.append(piece)

    async def flush(self) -> None:
        """Put away what was taken; the event loop does not wait for the disk.

        Raises Problem 503 where there is no room for it.
        """
        if not self._waiting:
            return
        pieces, self._waiting = b"".join(self._waiting), []
        try:
            if self.size <= _IN_MEMORY:
                self._file.write(pieces)
            else:
                await asyncio.to_thread(self._file.write, pieces)
        except OSError as error:
            # It would be taken for the database's: the disk is full, or there is no such folder.
            log.exception("a picture cannot be put away", folder=tempfile.gettempdir())
            raise away("gateway") from error

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it from the beginning, in pieces."""
        self._file.seek(0)
        while piece := await asyncio.to_thread(self._file.read, _PIECE):
            yield piece


class Form:
    """The parts of a form: texts by name in their order, and the picture, if there is one.

    Of a text given twice the last counts, as in JSON. `ignored` are the names of other files.
    """

    def __init__(self, picture: Upload) -> None:
        self.picture = picture
        self.has_picture = False
        self.file_name: str | None = None
        self.texts: dict[str, str] = {}
        self.ignored: list[str] = []


async def read_form(request: Request, patience: Patience, picture: Upload) -> Form:
    """The form of a request, its picture in `picture`.

    Raises Problem: 413 for a picture or a form beyond its limit, 408 where it comes too slowly, 422
    where it is broken, has two pictures, or holds a text that is not UTF-8.
    """
    _, parameters = parsed(request.headers.get("content-type", "").encode("latin-1"))
    reader = _Reader(parameters.get("boundary", ""), Form(picture))

    async def take(piece: bytes) -> None:
        # A piece of the server's buffer may be as large as the client likes.
        for start in range(0, len(piece), _PIECE):
            reader.write(piece[start : start + _PIECE])
            await picture.flush()

    with _saying_what_is_too_large():
        await receive(
            request, take, limit=_MOST_BYTES, silent=patience.silent, seconds=patience.picture
        )
    return reader.whole()


async def read_plain(request: Request, patience: Patience, picture: Upload) -> None:
    """A body that is the picture itself, into `picture`. Raises Problem 413 and 408."""

    async def take(piece: bytes) -> None:
        picture.add(piece)
        await picture.flush()

    with _saying_what_is_too_large():
        await receive(
            request, take, limit=MAX_BYTES, silent=patience.silent, seconds=patience.picture
        )


@contextmanager
def _saying_what_is_too_large() -> Iterator[None]:
    """Of a body with a picture it is the picture that is too large."""
    try:
        yield
    except Problem as problem:
        if problem.status != 413:
            raise
        raise picture_too_large(MAX_BYTES) from None


class _Reader:
    """Sorts the parts of a form as the parser comes upon them."""

    def __init__(self, boundary: str, form: Form) -> None:
        self._form = form
        self._ended = False
        self._parts = 0
        self._room = _MOST_TEXT
        self._header = (bytearray(), bytearray())
        self._disposition: bytes | None = None
        self._name: str | None = None
        self._is_picture = False
        self._text: bytearray | None = None
        if not boundary:
            raise _broken("The content type names no boundary")
        try:
            self._parser = MultipartParser(
                boundary.encode(),
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
                    "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": lambda data, start, end: self._take(data[start:end]),
                    "on_part_end": self._part_ends,
                    "on_end": self._form_ends,
                },
            )
        except FormParserError:
            raise _broken("The boundary is too long") from None

    def write(self, piece: bytes) -> None:
        """Go on reading. Raises Problem."""
        try:
            self._parser.write(piece)
        except FormParserError:
            raise _broken("The body is no multipart form, or its boundary is another") from None

    def whole(self) -> Form:
        """The form, once all was written. Raises Problem where its end is missing."""
        if not self._ended:
            raise _broken("The form has no end")
        return self._form

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _broken(f"The form has more than {_MOST_PARTS} parts")
        self._disposition = None

    def _add(self, half: int, piece: bytes) -> None:
        self._header[half].extend(piece)

    def _header_ends(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = bytes(value)
        self._header = (bytearray(), bytearray())

    def _headers_end(self) -> None:
        kind, parameters = parsed(self._disposition or b"")
        name = parameters.get("name")
        if kind != "form-data" or not name:
            raise _broken("A part of the form has no name")
        file = file_name(parameters)
        self._name, self._text = name, None
        self._is_picture = name == PICTURE
        if self._is_picture:
            if self._form.has_picture:
                raise Problem(422, [entry(["body", PICTURE], "Send one picture", "too_many")])
            self._form.has_picture = True
            self._form.file_name = file or None
        elif file is not None:
            self._form.ignored.append(name)
        else:
            self._text = bytearray()

    def _take(self, piece: bytes) -> None:
        if self._is_picture:
            self._form.picture.add(piece)
        elif self._text is not None:
            self._room -= len(piece)
            if self._room < 0:
                raise too_large(_MOST_TEXT)
            self._text.extend(piece)

    def _part_ends(self) -> None:
        name, text = self._name, self._text
        if name is None or text is None:
            return
        try:
            self._form.texts[name] = text.decode()
        except UnicodeDecodeError:
            wrong = entry(["body", name], "The field is not UTF-8", "string_unicode")
            raise Problem(422, [wrong]) from None

    def _form_ends(self) -> None:
        self._ended = True


def _broken(text: str) -> Problem:
    return Problem(422, [entry(["body"], text, "multipart_invalid")])
