"""The one settings class: `CROSSROADS_*` variables, or a file `.env`; set variables win."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from limits import parse_many
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.errors import SettingsInvalid

PREFIX = "CROSSROADS_"
_HIDDEN = "***"
_SECRETS = frozenset({"kafka_sasl_password"})
_ADDRESSES = frozenset({"database_url", "database_read_url"})


def _database_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"postgresql", "postgres"} and (parts.port is None or parts.port)
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must be an address like postgresql://user:password@host:port/database")
    return value


def _bootstrap_servers(value: str) -> str:
    servers = [server.strip() for server in value.split(",")]
    for server in servers:
        host, colon, port = server.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) <= 65535):
            raise ValueError("must be host:port, or several of them with commas between")
    return ",".join(servers)


def _readable_file(value: str) -> str:
    if not Path(value).is_file():
        raise ValueError("must name a file that is there")
    return value


def _rate_limit(value: str) -> str:
    try:
        parse_many(value)
    except ValueError:
        raise ValueError("must be a limit like 100/minute") from None
    return value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Delivery = Annotated[Literal["at-least-once", "exactly-once"], BeforeValidator(_lower)]
DatabaseAddress = Annotated[str, AfterValidator(_database_address)]
ReadableFile = Annotated[str, AfterValidator(_readable_file)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """What a process is told from outside; an attribute is its variable without the prefix.

    Addresses and passwords are plain text here, so never log a Settings: `redacted` is for that.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        validate_default=True,
    )

    database_url: DatabaseAddress = Field(repr=False)
    # The gateway's reading role, or a replica; None: database_url.
    database_read_url: DatabaseAddress | None = Field(default=None, repr=False)

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_bootstrap_servers)]
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = Field(default=None, repr=False)
    kafka_ssl_cafile: ReadableFile | None = None
    kafka_ssl_certfile: ReadableFile | None = None
    kafka_ssl_keyfile: ReadableFile | None = None
    session_timeout_seconds: int = Field(
        default=30,
        ge=1,
        le=1800,
        validation_alias=AliasChoices(
            f"{PREFIX}KAFKA_SESSION_TIMEOUT_SECONDS", f"{PREFIX}SESSION_TIMEOUT_SECONDS"
        ),
    )
    # How often a pattern subscription looks for new topics; they are served within 10 s.
    metadata_max_age_ms: int = Field(default=3000, ge=100, le=9000)
    batch_max_records: int = Field(default=1000, ge=1, le=10_000)
    batch_timeout_ms: int = Field(default=10, ge=1, le=10_000)
    # How long a broker may keep a fetch that finds nothing. Apache Kafka answers as soon as there
    # is something; one that does not makes every record wait for about half of it.
    fetch_max_wait_ms: int = Field(default=500, ge=1, le=10_000)

    delivery: Delivery = "at-least-once"
    manage_topics: bool = True
    lane_wait_seconds: float = Field(default=900, gt=0, allow_inf_nan=False)
    # Days after its final answer that a command id is remembered; 30 are promised.
    command_retention_days: int = Field(default=30, ge=30, le=3650)
    # Whole months of log entries and order events that are kept before the current one.
    history_months: int = Field(default=24, ge=1, le=1200)
    # Part of every transactional id, so that two deployments may share a broker.
    deployment: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")] = "crossroads"

    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    # Each credential's, in the words of `limits`: 100/minute, or several; None: no limit.
    http_rate_limit: Annotated[str, AfterValidator(_rate_limit)] | None = None
    # 0 takes any free port.
    metrics_port: Port = 0
    log_format: Annotated[Literal["json", "console"], BeforeValidator(_lower)] = "json"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        "info"
    )

    @field_validator("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
    @classmethod
    def _sasl_is_whole(cls, value: str | None, info: ValidationInfo) -> str | None:
        # On the fields and not on the model: a model's rule is silent while any field is wrong.
        protocol = info.data.get("kafka_security_protocol")
        if value is None and protocol in {"SASL_PLAINTEXT", "SASL_SSL"}:
            raise ValueError(f"is needed with {PREFIX}KAFKA_SECURITY_PROTOCOL={protocol}")
        return value

    @field_validator("kafka_ssl_keyfile")
    @classmethod
    def _key_has_certificate(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("kafka_ssl_certfile", "") is None:
            raise ValueError(f"is of no use without {PREFIX}KAFKA_SSL_CERTFILE")
        return value

    @property
    def reading_address(self) -> str:
        """The DSN for reading only: database_read_url, else database_url."""
        return self.database_read_url or self.database_url

    def with_changes(self, **changes: Any) -> Self:
        """A copy with `changes`, by attribute; they are taken as they are."""
        return self.model_copy(update=changes)


def load_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process; `overrides` (by attribute) win over variables and file.

    Raises SettingsInvalid with every problem at once, each beginning with its variable's name.
    """
    try:
        return Settings(**dict(overrides or {}))
    except ValidationError as error:
        raise SettingsInvalid(
            [_problem(entry["loc"], entry["type"], entry["msg"]) for entry in error.errors()]
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid([f".env cannot be read: {type(error).__name__}"]) from None


class _Asked(BaseSettings):
    model_config = Settings.model_config
    delivery: Delivery = "at-least-once"


def delivery_asked() -> str:
    """The delivery that variables and file ask for, whatever else is set or missing.

    Raises SettingsInvalid where it is none.
    """
    try:
        return _Asked().delivery
    except ValidationError as error:
        raise SettingsInvalid(
            [_problem(entry["loc"], entry["type"], entry["msg"]) for entry in error.errors()]
        ) from None


def redacted(settings: Settings) -> dict[str, str]:
    """Every setting by its variable's name, as text; passwords hidden, what is unset empty."""
    shown = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None:
            text = ""
        elif name in _SECRETS:
            text = _HIDDEN
        elif name in _ADDRESSES:
            text = redacted_address(value)
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
        shown[variable(name)] = text
    return shown


def redacted_address(address: str) -> str:
    """A database address without its password, wherever in it the password stands."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return _HIDDEN
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _ = credentials.partition(":")
    query = [
        (name, _HIDDEN if "password" in name.lower() else value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    netloc = f"{user}{f':{_HIDDEN}' if colon else ''}{at}{host}"
    shown = f"{parts.scheme}://{netloc}{parts.path}"
    return f"{shown}?{urlencode(query, safe='*/')}" if query else shown


def variable(attribute: str) -> str:
    """The variable's name of a setting's attribute."""
    if attribute == "session_timeout_seconds":
        return f"{PREFIX}KAFKA_SESSION_TIMEOUT_SECONDS"
    return PREFIX + attribute.upper()


def _problem(loc: tuple[int | str, ...], kind: str, message: str) -> str:
    name = str(loc[0]) if loc else "The settings"
    if not name.upper().startswith(PREFIX):
        name = variable(name)
    if kind == "missing":
        return f"{name} is not set"
    # Never the value: it may be a secret that was put into the wrong variable.
    text = message.removeprefix("Value error, ")
    return f"{name} {text}" if text[:1].islower() else f"{name}: {text}"
