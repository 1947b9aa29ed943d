"""What the gateway itself answers when it cannot go on (K29, R011).

A 4xx text never holds a word that makes a client try again, other than 429's own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from schemas.dump import to_json
from schemas.errors import ErrorEntry
from schemas.log import UNFORESEEN_MESSAGE

JSON = "application/json"

# Ends the connection: whatever else is sent on it belongs to a body that nobody reads.
_LAST = {"Connection": "close"}


class Problem(Exception):
    """An answer other than 200 that ends a request, wherever it is found out.

    `detail` is one sentence, or the list of entries of a 422; `code` a word of the catalogue,
    which only 403 and 409 carry beside a sentence.
    """

    def __init__(
        self,
        status: int,
        detail: str | Sequence[ErrorEntry],
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = dict(headers or {})
        super().__init__(f"{status}: {detail}")

    def response(self) -> Response:
        """The answer as it goes out."""
        body: dict[str, Any] = {"detail": self.detail}
        if self.code is not None:
            body["code"] = self.code
        return answer(self.status, body, self.headers)


def answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; a body given as bytes goes out as it is."""
    content = body if isinstance(body, bytes) else to_json(body)
    return Response(content, status, headers=headers, media_type=JSON)


def entry(loc: Sequence[str | int], msg: str, type_: str) -> ErrorEntry:
    """One entry of a 422 (K28)."""
    return {"loc": list(loc), "msg": msg, "type": type_}


def unauthorized(detail: str, error: str | None = None) -> Problem:
    """401: no credential, or one that is not valid (K01). `error` is a word of RFC 6750."""
    challenge = 'Bearer realm="crossroads"' + (f', error="{error}"' if error else "")
    return Problem(401, detail, headers={"WWW-Authenticate": challenge})


def scope_missing(scope: str) -> Problem:
    """403: the credential lacks the scope, which is named (K01)."""
    return Problem(403, f"The credential does not have the scope {scope}.")


def not_your_tenant() -> Problem:
    """403 of an unknown tenant and of somebody else's alike: neither can be told apart (K01)."""
    return Problem(403, "The credential does not belong to the tenant that X-Tenant-Name names.")


def too_large(limit: int) -> Problem:
    """413: the body has more bytes than are taken (K31). What still comes of it is not read."""
    return Problem(413, f"The body is larger than {limit} bytes.", headers=_LAST)


def picture_too_large(limit: int) -> Problem:
    """413: the picture has more bytes than are taken (X09)."""
    return Problem(413, f"The picture is larger than {limit} bytes.", headers=_LAST)


def too_slow() -> Problem:
    """408: the body did not come within its time."""
    return Problem(408, "The body of the request came too slowly.", headers=_LAST)


def too_many(retry_after: int) -> Problem:
    """429: the credential's rate is used up; `retry_after` in seconds (K29)."""
    return Problem(
        429,
        f"Too many requests: the rate limit of this credential is used up for {retry_after} s.",
        headers={"Retry-After": str(retry_after)},
    )


def away(what: str, retry_after: int = 2) -> Problem:
    """503: what the gateway stands on does not answer; `retry_after` in seconds (K29)."""
    return Problem(
        503,
        f"The {what} does not answer at the moment. Nothing is lost: send the request again.",
        headers={"Retry-After": str(retry_after)},
    )


def unforeseen() -> Problem:
    """500 with the fixed text; what happened goes to the operators' log (R097)."""
    return Problem(500, UNFORESEEN_MESSAGE)
