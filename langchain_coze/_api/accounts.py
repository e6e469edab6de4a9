"""The calls about an account as flows: user, workspaces, bots (wire section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_coze._api.effects import Flow, Reply, Request
from langchain_coze._api.models import get_payload
from langchain_coze._api.retry import RetryPolicy, fetch_object, send_with_retry

_MAX_PAGES = 1000


def fetch_pages(
    path: str,
    query: Mapping[str, str],
    policy: RetryPolicy,
    *,
    list_key: str,
    id_key: str = "id",
    page_size: int = 50,
) -> Flow[list[Mapping[str, Any]]]:
    """Return the items of a list from all pages.

    Args:
        path: The path of the list.
        query: What selects the items.
        policy: The retry policy.
        list_key: Where the items are in the payload.
        id_key: Where an item has its id; items without one are left out.
        page_size: The number of items of a page, at most what the list allows.
    """
    by_id: dict[str, Mapping[str, Any]] = {}
    for number in range(1, _MAX_PAGES + 1):
        paged = {**query, "page_num": str(number), "page_size": str(page_size)}
        request = Request(method="GET", path=path, query=paged)
        page = get_payload((yield from send_with_retry(request, policy)).json)
        page = page if isinstance(page, Mapping) else {}
        items = page.get(list_key)
        count = len(by_id)
        for item in items if isinstance(items, list) else []:
            if isinstance(item, Mapping) and item.get(id_key):
                by_id.setdefault(str(item[id_key]), item)
        total = page.get("total", page.get("total_count"))
        is_last = len(by_id) >= total if isinstance(total, int) else not page.get("has_more")
        if is_last or len(by_id) == count:  # a server may repeat its last page
            break
    return list(by_id.values())


def fetch_user(policy: RetryPolicy) -> Flow[tuple[Reply, Mapping[str, Any]]]:
    """Return the reply about the user of the token, and the user; it costs nothing."""
    reply = yield from send_with_retry(Request(method="GET", path="/v1/users/me"), policy)
    user = get_payload(reply.json)
    return reply, user if isinstance(user, Mapping) else {}


def list_workspaces(policy: RetryPolicy) -> Flow[list[Mapping[str, Any]]]:
    """Return the workspaces that the token may see."""
    return fetch_pages("/v1/workspaces", {}, policy, list_key="workspaces")


def list_bots(query: Mapping[str, str], policy: RetryPolicy) -> Flow[list[Mapping[str, Any]]]:
    """Return the bots of a workspace, selected by `query`."""
    return fetch_pages("/v1/bots", query, policy, list_key="items")


def fetch_bot(bot_id: str, policy: RetryPolicy) -> Flow[Mapping[str, Any]]:
    """Return the settings of a published bot."""
    return fetch_object(Request(method="GET", path=f"/v1/bots/{bot_id}"), policy)
