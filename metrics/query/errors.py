"""What can be wrong with a query, as sentences meant for the person who wrote it."""


class ExpressionError(Exception):
    """The expression cannot be used; ``str(error)`` is one sentence that says why."""


class EvaluationError(ExpressionError):
    """The expression is fine, but what it selects cannot be combined as it asks."""
