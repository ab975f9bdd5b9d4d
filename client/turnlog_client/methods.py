"""What both clients are made of: all calls, lists and files, each written once."""

import copy
from dataclasses import replace
from typing import Self

from turnlog_client.exports import Downloads, ExportCalls
from turnlog_client.lists import Lists
from turnlog_client.operation import OperationCalls
from turnlog_client.sessions import SessionCalls
from turnlog_client.settings import ClientSettings
from turnlog_client.turns import TurnCalls


class Calls(SessionCalls, TurnCalls, ExportCalls, OperationCalls):
    """Every call of the API that is neither a list nor a file; see the classes it is made of."""


class ClientMethods(Calls, Lists, Downloads):
    """All that a client can be asked for."""

    settings: ClientSettings

    def for_user(self, user_id: str) -> Self:
        """This client, acting for a user; the token needs the scope `service` or `admin`. It shares
        the connections, and need not be closed."""
        client = copy.copy(self)
        vars(client).update(settings=replace(self.settings, as_user=user_id), _owns_http=False)
        return client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.settings.base_url}>"
