"""The errors of the machinery. What an error is says what the loop that meets it must do.

CrossroadsError
├── DatabaseAway      back off and try again; nothing is committed, nobody is blamed
├── BrokerAway        the same, for Kafka
├── SettingsInvalid   end before anything starts (exit code 2)
├── SchemaTooOld      end before anything starts: migrate first
├── ServiceMustStop   end now, loudly: going on would do harm
└── Unreadable        one record is a dead letter (services.kit.cloudevents)
"""

from collections.abc import Sequence


class CrossroadsError(Exception):
    """Something in the hub went wrong."""

    def __init__(self, message: str | None = None) -> None:
        """Takes the message, or the first line of the class's docstring when there is none."""
        if message is None:
            message = (type(self).__doc__ or type(self).__name__).strip().splitlines()[0]
        super().__init__(message)


class DatabaseAway(CrossroadsError):
    """The database does not answer, or cannot take work at the moment."""


class BrokerAway(CrossroadsError):
    """The Kafka broker does not answer."""


class SettingsInvalid(CrossroadsError):
    """The settings cannot be used.

    `problems` has one sentence for each variable at fault, beginning with its name; a secret's
    value is never in it.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("The settings cannot be used:\n  " + "\n  ".join(self.problems))


class SchemaTooOld(CrossroadsError):
    """The database's schema is older than this program: run `crossroads db migrate`."""


class ServiceMustStop(CrossroadsError):
    """The service must stop, because going on would do harm."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The service must stop: {reason}")
