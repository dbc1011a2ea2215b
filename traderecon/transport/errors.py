"""Errors of the log: it does not answer, or it does not accept what it was given. One class per exit code."""


class ClientError(Exception):
    """The log could not do what was asked: what, where, and what to do."""


class NoAnswer(ClientError):
    """The broker does not answer."""


class NotAccepted(ClientError):
    """The log answers, and does not take it."""


class NoTopic(NotAccepted):
    """There is no such topic."""
