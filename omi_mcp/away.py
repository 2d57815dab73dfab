"""That what several machines share is not there: told apart from what else can fail, and loaded without a database."""


class Away(Exception):
    """The database that machines share is not reached, or not in time; nothing of the transaction is kept.

    HTTP requests get 503 with Retry-After, tools a plain sentence; what runs in the background tries again.
    """
