"""All calls, written once for both clients."""

from turnlog_client.operation import OperationCalls
from turnlog_client.sessions import SessionCalls
from turnlog_client.turns import TurnCalls


class Calls(SessionCalls, TurnCalls, OperationCalls):
    """Every call of the API that is no list; see the classes it is made of."""
