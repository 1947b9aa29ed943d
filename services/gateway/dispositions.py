"""`Content-Disposition` and `Content-Type` of parts, as clients really write them (X09).

.NET leaves names unquoted, quotes the boundary, writes a file name in MIME's encoded words where it
is not ASCII, and says it again as `filename*`; browsers send raw UTF-8 in quotes.
"""

import re
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from urllib.parse import unquote_to_bytes

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(
    rf'\s*;\s*(?P<name>{_WORD})\s*=\s*(?:"(?P<quoted>(?:\\"|[^"])*)"|(?P<bare>[^;]*))'
)
_KIND = re.compile(rf"\s*(?P<kind>{_WORD}(?:/{_WORD})?)")
_EXTENDED = re.compile(r"(?P<charset>[A-Za-z0-9\-]+)'[^']*'(?P<value>.*)", re.DOTALL)


def parsed(value: bytes) -> tuple[str, Mapping[str, str]]:
    """The kind in lower case, and the parameters by lower-case name, the first of each counting.

    Text is UTF-8, else Latin-1. A header that is none has the kind "". A backslash escapes a quote
    and nothing else: who writes a file's path into a name means the backslash.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    kind = _KIND.match(text)
    if kind is None:
        return "", {}
    found: dict[str, str] = {}
    position = kind.end()
    while (parameter := _PARAMETER.match(text, position)) is not None:
        position = parameter.end()
        bare = parameter["bare"]
        given = parameter["quoted"].replace('\\"', '"') if bare is None else bare.strip()
        found.setdefault(parameter["name"].lower(), given)
    return kind["kind"].lower(), found


def file_name(parameters: Mapping[str, str]) -> str | None:
    """The name a file was sent with: `filename*` where it can be read, else `filename`."""
    extended = _EXTENDED.fullmatch(parameters.get("filename*", ""))
    if extended is not None:
        try:
            name = unquote_to_bytes(extended["value"]).decode(extended["charset"])
        except (LookupError, UnicodeError):
            name = _HALF
        if _is_text(name):
            return name
    plain = parameters.get("filename")
    if plain is not None and plain.startswith("=?") and plain.endswith("?="):
        try:
            name = str(make_header(decode_header(plain)))
        except (HeaderParseError, LookupError, UnicodeError):
            return plain
        return name if _is_text(name) else plain
    return plain


# Half a surrogate pair: some of Python's charsets give it, and no record and no answer can hold it.
_HALF = "\ud800"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
