"""The exceptions zeroret raises.

None of them ever carries content: their texts name options, places, types and counts.
"""

from __future__ import annotations


class ZeroRetentionError(Exception):
    """Base of every error that zeroret raises on purpose."""


class ConfigurationError(ZeroRetentionError, ValueError):
    """An option, policy, sink URI or environment variable is not one of the allowed values.

    The text says what was given, what is allowed and what to write instead.
    """


class MissingExtraError(ZeroRetentionError, ImportError):
    """An optional feature was asked for whose packages are not installed.

    The text names the exact ``pip install 'zeroret[extra]'`` line.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed: "
            f"run  pip install 'zeroret[{extra}]'  and start again"
        )


class SinkError(ZeroRetentionError):
    """A store cannot be used now; the records wait and are sent again.

    The text says what is wrong and what to do. It names places, never a password or a record.
    """


class RecordRefusedError(ZeroRetentionError):
    """A store will never take a record, however often it is sent: it is put aside, not retried.

    A sink raises it from ``write``; nothing of the batch then counts as written. With *ids* only
    these records are put aside; without, the batch is split until the refused ones are found.
    """

    def __init__(self, reason: str, ids: frozenset[str] = frozenset()) -> None:
        super().__init__(reason)
        self.reason = reason
        """The class of the store's own error, never its text."""
        self.ids = ids


class RetentionViolation(ZeroRetentionError, PermissionError):  # noqa: N818 - the field's word: a violation is an event, and the public name is a contract
    """Content was about to leave the process by a way that the policy closes.

    Names the place and the kind of the way out, never the content.
    """
