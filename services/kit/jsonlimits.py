"""JSON from strangers, within limits (K31): parsed fast when it is good, explained when it is not.

A good value pays for one parse and a few searches through its bytes. Only what is refused, or
merely looks like it, is read token by token, to say which field is at fault. Nothing recurses, so
depth 5,000 is a refusal and not the end of the process.

Of a key that is given twice the last value counts. Integers beyond 64 bits become doubles, as
RFC 8259 leads every reader to expect.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from services.kit.cloudevents import Unreadable, UnreadableReason

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
_MOST_FAULTS = 1_000
Path = tuple[str | int, ...]

_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_STRING = re.compile(rb'"[^"]*"')
_ROUND = bytes.maketrans(b"[]{}", b"()()")


def parse(value: bytes | None) -> Any:
    """The JSON value of `value`: whatever it is, an object or not.

    Raises Unreadable, and nothing else, with reason `too-large` (more than MAX_BYTES), `not-utf8`,
    `characters` (NUL or half a surrogate pair, written out or escaped), `numbers` (NaN, Infinity,
    or what a double cannot hold), `depth` (more than MAX_DEPTH levels; an empty array is one) or
    `not-json`; its `path` and `detail` name the field, `further` the others with the same fault.
    """
    if value is None or not value:
        raise Unreadable("not-json", "There is no value.")
    if len(value) > MAX_BYTES:
        raise Unreadable("too-large", f"The value has {len(value)} bytes, {MAX_BYTES} are allowed.")
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise (_fault(value) or Unreadable("not-json", f"Not JSON: {error.msg}.")) from None
    if _has_nul(value) or _is_deep(value):
        raise _fault(value) or Unreadable("characters", "The value holds a NUL character.")
    return parsed


def _has_nul(value: bytes) -> bool:
    """Whether valid JSON has an escaped NUL; after an escaped backslash it is only text."""
    return b"\\u0000" in value and b"\\u0000" in value.replace(b"\\\\", b"")


def _is_deep(value: bytes) -> bool:
    """Whether valid JSON is deeper than MAX_DEPTH; brackets within its strings do not count."""
    if value.count(b"[") + value.count(b"{") <= MAX_DEPTH:
        return False
    if b"\\" in value:
        value = value.replace(b"\\\\", b"").replace(b'\\"', b"")
    skeleton = value.translate(_ROUND, _ALL_BUT_BRACKETS)
    brackets = skeleton.replace(b'""', b"")
    if b'"' in brackets:
        # Some string has brackets: what was taken for an empty string may lie between two others.
        brackets = _STRING.sub(b"", skeleton)
    for _ in range(MAX_DEPTH):
        # Each pass takes away at least the innermost level.
        brackets = brackets.replace(b"()", b"")
        if not brackets:
            return False
    return True


# The careful reading. Raw control characters are let into a string, so that a raw NUL is found
# where it stands.
_TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<punctuation>[\[\]{}:,])|"(?P<string>(?:[^"\\]|\\.)*)"'
    r"|(?P<word>[^ \t\n\r\[\]{}:,\"]+))",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_NOT_FINITE = frozenset({"nan", "-nan", "+nan", "infinity", "-infinity", "+infinity"})
_NOT_FINITE_SHORT = frozenset({"inf", "-inf", "+inf"})
_MAX_KEY_CHARACTERS = 64
_HIDDEN = "\ufffd"


def _fault(value: bytes) -> Unreadable | None:
    """What is wrong first, and wherever else the same is; None when it is the grammar alone."""
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return Unreadable("not-utf8", f"The value is not UTF-8 at byte {error.start}.")
    found = _faults(text)
    reason, first = next(found, (None, ()))
    if reason is None:
        return None
    others = dict.fromkeys(path for other, path in found if other == reason and path != first)
    further = [(path, _told(reason, path)) for path in islice(others, _MOST_FAULTS - 1)]
    return Unreadable(reason, _told(reason, first), path=first, further=further)


def _faults(text: str) -> Iterator[tuple[UnreadableReason, Path]]:
    """Where which fault is, in the order of the text; what is too deep is the last."""
    path: list[str | int] = []
    key_expected = False
    position = 0
    while (token := _TOKEN.match(text, position)) is not None:
        position = token.end()
        mark = token["punctuation"]
        if mark is None:
            string, word = token["string"], token["word"]
            reason = _fault_of_string(string) if word is None else _fault_of_word(word)
            if reason is not None:
                yield reason, tuple(path[:-1] if key_expected else path)
            if key_expected and string is not None:
                path[-1] = _shown(string)
                key_expected = False
        elif mark in "[{":
            if len(path) >= MAX_DEPTH:
                yield "depth", tuple(path)
                return
            path.append(0 if mark == "[" else "")
            key_expected = mark == "{"
        elif mark in "]}":
            if not path:
                return
            path.pop()
            key_expected = False
        elif mark == "," and path:
            last = path[-1]
            key_expected = isinstance(last, str)
            path[-1] = "" if isinstance(last, str) else last + 1


def _fault_of_string(content: str) -> UnreadableReason | None:
    if "\x00" in content:
        return "characters"
    if "\\u" not in content:
        return None
    high_open = False
    end_of_high = -1
    for escape in _ESCAPE.finditer(content):
        if high_open and escape.start() != end_of_high:
            return "characters"
        unit = int(escape[1][1:], 16) if len(escape[1]) == 5 else 0x20
        is_low = 0xDC00 <= unit <= 0xDFFF
        if unit == 0 or is_low != high_open:
            return "characters"
        high_open = 0xD800 <= unit <= 0xDBFF
        end_of_high = escape.end()
    return "characters" if high_open else None


def _fault_of_word(word: str) -> UnreadableReason | None:
    lower = word.lower()
    if lower in _NOT_FINITE or lower in _NOT_FINITE_SHORT:
        return "numbers"
    if _NUMBER.match(word) is not None and float(word) in (float("inf"), float("-inf")):
        return "numbers"
    return None


_SENTENCES: dict[UnreadableReason, str] = {
    "characters": "holds a NUL character or half a surrogate pair",
    "numbers": "is not a finite number",
    "depth": f"is nested more than {MAX_DEPTH} levels deep",
}


def _told(reason: UnreadableReason, path: Path) -> str:
    name = ".".join(str(part) for part in path) or "The value"
    return f"{name} {_SENTENCES[reason]}."


def _shown(key: str) -> str:
    """A key as a text may show it: legible everywhere, and not endless."""
    try:
        shown = orjson.loads(f'"{key}"')
    except orjson.JSONDecodeError:
        shown = key
    return "".join(c if c.isprintable() else _HIDDEN for c in shown[:_MAX_KEY_CHARACTERS])
