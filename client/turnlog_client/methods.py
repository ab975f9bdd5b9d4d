"""All calls, written once for both clients."""

from turnlog_client.exports import ExportCalls
from turnlog_client.operation import OperationCalls
from turnlog_client.sessions import SessionCalls
from turnlog_client.turns import TurnCalls


class Calls(SessionCalls, TurnCalls, ExportCalls, OperationCalls):
    """Every call of the API that is neither a list nor a file; see the classes it is made of."""
