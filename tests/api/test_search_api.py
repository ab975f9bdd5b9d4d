"""GET /v1/search: what is found, as it is answered."""

from typing import Any

import httpx
import pytest
from appending import event, turn
from searched import index_all
from served import Stage, all_pages, problem

from turnlog_api.searchdocs import EXAMPLE, HEADERS, SearchPage

pytestmark = pytest.mark.integration


def append(
    stage: Stage, session_id: str, *contents: str, owner: str = "u1", **started: Any
) -> None:
    """A session of these turns, user and assistant in turn; found at once."""
    events = [event("session.started", {"user_id": owner, **started})]
    for number, content in enumerate(contents, 1):
        role = "user" if number % 2 else "assistant"
        events.append(turn(f"{session_id}-{number}", content, role=role))
    stage.append(session_id, events, owner=owner)


def bring_up(stage: Stage) -> None:
    """Project and index everything."""
    stage.project()
    index_all(stage.connection)


async def found(api: httpx.AsyncClient, q: str, **params: Any) -> list[str]:
    """The ids of the turns found, in order; of a title the id of its session."""
    answer = await api.get("/v1/search", params={"q": q, **params})
    items = answer.raise_for_status().json()["items"]
    return [item["turn_id"] or item["session_id"] for item in items]


def text_of(item: dict[str, Any]) -> str:
    """The snippet with its hits in brackets."""
    return "".join(f"[{p['text']}]" if p["hit"] else p["text"] for p in item["snippet"])


async def test_an_item_tells_where_and_why(stage: Stage, api: httpx.AsyncClient) -> None:
    append(stage, "s1", "How is <b>revenue</b> by region?", "North leads.", title="Sales")
    bring_up(stage)
    answer = await api.get("/v1/search", params={"q": "revenue region"})
    body = answer.raise_for_status().json()
    [item] = body["items"]
    assert text_of(item) == "How is <b>[revenue]</b> by [region]?"
    assert item.pop("rank") > 0
    assert item.pop("at").endswith("Z")
    del item["snippet"]
    assert item == {
        "session_id": "s1",
        "turn_id": "s1-1",
        "seq": 2,
        "role": "user",
        "title": "Sales",
        "branch_id": "main",
    }
    del body["items"]
    lag = {"events": 0, "sessions": 0, "seconds": 0.0}
    assert body == {"next_cursor": None, "has_more": False, "complete": True, "lag": lag}
    assert answer.headers["turnlog-search-behind"] == "0"
    assert answer.headers["turnlog-search-lag"] == "0.000"


async def test_answers_are_as_documented(stage: Stage, api: httpx.AsyncClient) -> None:
    append(stage, "s1", "apple", "apple", title="Apples")
    bring_up(stage)
    for limit in (1, 10):
        answer = await api.get("/v1/search", params={"q": "apple", "limit": limit})
        page = SearchPage.model_validate_json(answer.content, strict=True)
        assert len(page.items) == min(limit, 3)
    SearchPage.model_validate(EXAMPLE, strict=True)
    document = (await api.get("/openapi.json")).json()
    good = document["paths"]["/v1/search"]["get"]["responses"]["200"]
    assert good["content"]["application/json"]["example"] == EXAMPLE
    assert good["headers"].keys() == HEADERS.keys()


async def test_the_syntax_is_that_of_web_searches(stage: Stage, api: httpx.AsyncClient) -> None:
    append(stage, "s", "red apple pie", "red pie with apple", "green pear", "apple")
    bring_up(stage)
    assert await found(api, "red apple", sort="newest") == ["s-2", "s-1"]
    assert await found(api, '"red apple"') == ["s-1"]
    assert await found(api, "apple -pie") == ["s-4"]
    assert await found(api, 'apple -"red apple" -"with apple"') == ["s-4"]
    assert await found(api, '"red apple" or pear', sort="newest") == ["s-3", "s-1"]
    assert await found(api, "green or red -with", sort="newest") == ["s-3", "s-1"]
    assert await found(api, "\u201cred apple\u201d") == ["s-1"]
    assert await found(api, "apple banana") == []


@pytest.mark.parametrize(
    "q", ["", " ", "-apple", "-", '"', '""', "or", "or or", "!!! ()&|:*", "😀"]
)
async def test_what_asks_for_nothing_finds_nothing(
    stage: Stage, api: httpx.AsyncClient, q: str
) -> None:
    append(stage, "s", "apple 😀 or pie")
    bring_up(stage)
    assert await found(api, q) == []


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Wir fahren nach Zürich, zur STRASSE", ["zurich", "ZÜRICH", "straße", "Zu\u0308rich"]),
        ("L\u2019été à Besançon", ["ete", "été", "besancon", "l'ete"]),
        ("Ελληνικά και ёлка", ["ελληνικα", "ΕΛΛΗΝΙΚΆ", "елка", "ЁЛКА"]),
        ("two flights were cancelled", ["flight", "flights", "FLIGHT"]),
        ("one flight was cancelled", ["flights"]),
        ("हिन्दी में लिखा हुआ", ["हिन्दी", "लिखा"]),
        ("שָׁלוֹם עולם", ["שלום", "עולם"]),
        ("كتابٌ جديد", ["كتاب", "جديد"]),
        ("我们明天去北京大学。", ["北京", "京", "大学", "明天去", "我们明天去北京大学"]),
        ("iPhone手机在2024年5月发布", ["手机", "iphone", "2024年", "5月发布", "iPhone手机"]),
        ("東京都に行きました", ["東京", "京都", "行きました", "都に"]),
        ("ｶﾀｶﾅのテスト", ["カタカナ", "ﾃｽﾄ", "タカ"]),
        ("서울에서 만나요", ["서울", "에서", "만나", "요"]),
        ("ฉันรักภาษาไทย", ["ภาษา", "รัก", "ไทย", "ย"]),
        ("ສະບາຍດີ ຊາວໂລກ", ["ສະບາຍ", "ໂລກ"]),
        ("set user_id to 5 in gpt-5", ["user_id", "user", "gpt-5", "GPT-5", '"gpt 5"']),
        ("call foo.bar(x)[0] then getUserName", ["foo.bar()", "bar(x)", "getusername"]),
        ("see /etc/nginx/nginx.conf line 12", ["/etc/nginx", "nginx.conf", "etc/nginx/nginx.conf"]),
        ("write to ann.lee@example.com", ["ann.lee@example.com", "example.com", "ann"]),
        ("it costs $1,234.50 now", ["$1,234.50", "1,234", "234.50"]),
        ("C:\\Users\\me and <script>alert('x')</script>", ["C:\\Users", "alert('x')", "<script>"]),
        ("100% of `SELECT 'a'' OR 1=1; --`", ["100%", "1=1", "'a''", "SELECT"]),
    ],
)
async def test_text_is_found_in_many_languages_and_as_code(
    stage: Stage, api: httpx.AsyncClient, text: str, asked: list[str]
) -> None:
    append(stage, "s", text, "something else altogether")
    bring_up(stage)
    for q in asked:
        assert await found(api, q) == ["s-1"], q


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("我们明天去北京大学", ["京北", "北大", "明去"]),
        ("東京都に行きました", ["京東", "大阪"]),
        ("set user_id to 5", ["id_user", "user_name", "user_id_5"]),
        ("gpt-5 is here", ["gpt-4", "5-gpt"]),
        ("ฉันรักภาษาไทย", ["ไทยภาษา"]),
    ],
)
async def test_what_is_not_there_is_not_found(
    stage: Stage, api: httpx.AsyncClient, text: str, asked: list[str]
) -> None:
    append(stage, "s", text)
    bring_up(stage)
    for q in asked:
        assert await found(api, q) == [], q


async def test_results_of_tools_are_looked_at_on_request(
    stage: Stage, api: httpx.AsyncClient
) -> None:
    stage.append(
        "s",
        [
            event("session.started", {}),
            turn("sys", "Instructions about baggage", role="system"),
            turn("u", "How much baggage?"),
            turn("t", '{"baggage": 2}', role="tool"),
            turn("a", "Two pieces of baggage.", role="assistant"),
        ],
    )
    bring_up(stage)
    assert sorted(await found(api, "baggage")) == ["a", "u"]
    assert sorted(await found(api, "baggage", include="tool_results")) == ["a", "t", "u"]
    assert await found(api, "baggage", role="tool") == ["t"]
    assert await found(api, "baggage", role="system") == ["sys"]
    assert await found(api, "baggage", role="user") == ["u"]
    assert await found(api, "baggage", role="agent") == []


async def test_titles_that_somebody_gave_are_found(stage: Stage, api: httpx.AsyncClient) -> None:
    append(stage, "named", "Hello", title="Quarterly revenue")
    append(stage, "unnamed", "The revenue of spring")
    stage.append("unnamed", [event("session.updated", {"project": "p"})])
    bring_up(stage)
    answer = (await api.get("/v1/search", params={"q": "revenue quarterly"})).json()
    [item] = answer["items"]
    assert (item["session_id"], item["turn_id"], item["seq"], item["role"]) == (
        "named",
        None,
        None,
        None,
    )
    assert text_of(item) == "[Quarterly] [revenue]"
    assert sorted(await found(api, "revenue")) == ["named", "unnamed-1"]
    assert await found(api, "revenue", session_id="named") == []
    assert await found(api, "revenue", role="user") == ["unnamed-1"]
    stage.append("named", [event("session.updated", {"title": "Costs"})])
    bring_up(stage)
    assert await found(api, "quarterly") == []
    assert await found(api, "costs") == ["named"]


async def test_filters_narrow_a_search(stage: Stage, api: httpx.AsyncClient) -> None:
    append(stage, "a", "apple", owner="ann", project="pies")
    append(stage, "b", "apple", owner="ben", project="pies")
    append(stage, "c", "apple", owner="ann", project="juice 'n' more")
    stage.append("d", [turn("d-1", "apple", at="2020-01-01T00:00:00Z")])
    old = event(
        "turn.appended",
        {"turn_id": "d-2", "role": "user", "content": "apple"},
        at="2020-01-01T00:00:00Z",
    )
    stage.append("d", [old])
    bring_up(stage)
    assert await found(api, "apple", session_id="b") == ["b-1"]
    assert await found(api, "apple", user_id="ben") == ["b-1"]
    assert sorted(await found(api, "apple", user_id="ann")) == ["a-1", "c-1"]
    assert sorted(await found(api, "apple", project="pies")) == ["a-1", "b-1"]
    assert await found(api, "apple", project="juice 'n' more") == ["c-1"]
    assert await found(api, "apple", project="pies", user_id="ann") == ["a-1"]
    assert await found(api, "apple", until="2020-01-02T00:00:00Z") == ["d-2"]
    assert await found(api, "apple", until="2020-01-01T00:00:00Z") == []
    assert await found(
        api, "apple", since="2020-01-01T00:00:00Z", session_id="d", until="2021-01-01T00:00:00Z"
    ) == ["d-2"]
    assert "d-2" not in await found(api, "apple", since="2020-01-01T00:00:01Z")


@pytest.mark.parametrize("sort", ["rank", "newest"])
async def test_pages_hold_every_hit_once(stage: Stage, api: httpx.AsyncClient, sort: str) -> None:
    # Most are equal in rank and time: the order is decided by session and seq.
    for number in range(6):
        append(stage, f"s{number}", *["apple pie"] * 4, "apple " * (number + 1), "pear")
    bring_up(stage)
    whole, pages = await all_pages(api, "/v1/search", q="apple", sort=sort, limit=100)
    assert pages == 1
    assert len(whole) == 30
    for limit in (1, 7, 30):
        items, pages = await all_pages(api, "/v1/search", q="apple", sort=sort, limit=limit)
        assert items == whole
        assert pages == -(-30 // limit)
    key = "rank" if sort == "rank" else "at"
    assert [item[key] for item in whole] == sorted((i[key] for i in whole), reverse=True)


async def test_a_cursor_stands_alone_and_fits_its_search_only(
    stage: Stage, api: httpx.AsyncClient
) -> None:
    append(stage, "s", *["apple pie"] * 4)
    bring_up(stage)
    first = (await api.get("/v1/search", params={"q": "apple", "limit": 3})).json()
    cursor = first["next_cursor"]
    second = await api.get("/v1/search", params={"cursor": cursor})
    assert [item["turn_id"] for item in second.json()["items"]] == ["s-1"]
    assert (await api.get("/v1/search", params={"cursor": cursor, "q": "apple"})).status_code == 200
    other = await api.get("/v1/search", params={"cursor": cursor, "q": "pear"})
    problem(other, 400, "bad-cursor")
    problem(await api.get("/v1/search", params={"cursor": cursor[:-2]}), 400, "bad-cursor")
    problem(await api.get("/v1/search"), 422, "invalid")
    problem(await api.get("/v1/search", params={"q": "x" * 513}), 422, "invalid")
