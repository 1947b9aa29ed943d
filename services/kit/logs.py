"""Structured logs: one JSON object a line on stderr, or the same for a reader's eyes.

A line costs about 25 µs, so nothing is logged for each record: batches, decisions of operators and
what went wrong are. Use it as `log = structlog.get_logger()` and `log.info("topic created", …)`:
a fixed sentence first, what varies as members, ids included.
"""

import json
import logging
import re
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from services.kit.settings import Settings

_HIDDEN = "***"
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|token|api_?key|authorization|credential|private_?key|cookie",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]+@")
_ASSIGNED = re.compile(r"(?P<name>\bpassword\s*=\s*)[^\s&'\"]+", re.IGNORECASE)
# These say a line or two for every record or request; what they warn of is wanted.
_CHATTY = ("aiokafka", "asyncio", "faststream", "httpx", "uvicorn")


def configure_logging(settings: Settings, service: str, stream: TextIO | None = None) -> None:
    """Sends the process's logs to `stream` (stderr) as the settings say; may be called again.

    Every line carries `service`. Libraries that log by the standard library come the same way,
    from WARNING on. Passwords and keys are hidden, by member name and within addresses.
    """
    target = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _named(service),
    ]
    rendering = _rendering(settings.log_format)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    _route_through_root()


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A structlog processor: the event with its secrets hidden, nested ones too."""
    return {name: _without_secrets(name, value) for name, value in event.items()}


def _route_through_root() -> None:
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in _CHATTY:
            logger.handlers = []
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns of whatever a client sent wrong, who is told so with a 422.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def _named(service: str) -> Processor:
    def name(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return name


def _rendering(log_format: str) -> list[Processor]:
    if log_format == "console":
        # Tracebacks as text: the renderer's own would show the values of local variables.
        return [
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    return [
        structlog.processors.format_exc_info,
        redact,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_json),
    ]


def _without_secrets(name: str, value: Any) -> Any:
    if value is not None and _SECRET_NAME.search(name):
        return _HIDDEN
    if isinstance(value, str):
        value = _ADDRESS.sub(rf"\g<scheme>:{_HIDDEN}@", value) if "://" in value else value
        return _ASSIGNED.sub(rf"\g<name>{_HIDDEN}", value) if "=" in value else value
    if isinstance(value, dict):
        return {key: _without_secrets(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets("", inner) for inner in value]
    return value


def _json(event: EventDict, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # What a stranger sent may be no valid text; a line about it must come out all the same.
        return json.dumps(event, default=repr, skipkeys=True)
