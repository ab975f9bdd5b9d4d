"""docs/client.md: its examples run, and it names every call."""

import inspect
import re
from pathlib import Path

import pytest
from live_api import listening, projecting
from served import Stage
from servers import wait_until

from turnlog_client import Client, errors
from turnlog_client.calls import call, download, pages

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
ADDRESS = "https://chats.example.org"


@pytest.mark.integration
def test_the_examples_run_one_after_another(
    stage: Stage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with (
        listening(stage.redis_url, stage.postgres_url) as url,
        projecting(stage.redis_url, stage.postgres_url),
    ):
        with Client(url) as client:
            for example in EXAMPLES:
                # A token is ASCII; with auth off nobody looks at it.
                code = example.replace(ADDRESS, url).replace("…", "")
                exec(compile(code, str(PAGE), "exec"), names)
                _settle(client)
        names["client"].close()  # type: ignore[attr-defined]
    shown = capsys.readouterr().out
    for text in ("North leads with 41 %.", "[revenue by]", "the session is at", "Hello"):
        assert text in shown
    assert "How is revenue by country?" in (tmp_path / "revenue.md").read_text()
    assert len((tmp_path / "sales.csv").read_text().splitlines()) > 1


def _settle(client: Client) -> None:
    """Let reads and search catch up: a reader of the page takes longer for it, too."""

    def settled() -> bool:
        status = client.status()
        search = status["search"] or {}
        return status["lag"]["events"] == 0 and search.get("events_behind", 1) == 0

    wait_until(settled, "everything is projected and can be found")


def test_every_call_and_error_is_named() -> None:
    text = PAGE.read_text()
    calls = {
        name
        for name in dir(Client)
        if isinstance(inspect.getattr_static(Client, name), call | pages | download)
    }
    kinds = {name for name, kind in vars(errors).items() if inspect.isclass(kind)}
    own = {name for name in kinds if issubclass(getattr(errors, name), errors.TurnlogError)}
    for name in (calls | own) - {"TurnlogError"}:
        assert re.search(rf"\b{name}\b", text), f"{name} is not named"
