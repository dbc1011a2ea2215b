"""Errors of a log client, one class per exit code: the log does not answer, or it rejects a request."""


class ClientError(Exception):
    """A request failed; the text says what was requested, where, and what to do."""


class NoAnswer(ClientError):
    """The broker does not answer."""


class NotAccepted(ClientError):
    """The log answers and rejects the request."""


class NoTopic(NotAccepted):
    """The topic does not exist."""
