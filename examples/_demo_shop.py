"""What the local server plays in the demo: the help desk of a shop, in English and Chinese.

In Coze this would be a bot with a knowledge base and a workflow; here the bot's model is a script.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_coze.local import Ask, ClientTool, LocalBot, LocalCoze, LocalKnowledge, Message

if TYPE_CHECKING:
    from collections.abc import Generator

    from langchain_coze.local import Turn


@dataclass(frozen=True, kw_only=True)
class Shop:
    """The texts of one language."""

    help_pages: dict[str, str]
    unknown: str
    searching: str
    question: str
    options: tuple[str, str]
    refunded: str
    refused: str


SHOPS = {
    "en": Shop(
        help_pages={
            "Damaged items": (
                "If an item arrives damaged, send us a photo within 7 days. We refund it or send a "
                "new one, and you can keep the damaged item."
            ),
            "Returns": (
                "An item that is not damaged can be returned within 30 days, if it is unused. We "
                "pay for the shipping."
            ),
            "Delivery": "Parcels arrive within 3 days. The order page shows where a parcel is.",
        },
        unknown="The help pages of the shop do not say anything about that.",
        searching="Looking up order {order}",
        question="Order {order}, 1 cup, 86 yuan. Approve the refund?",
        options=("yes", "no"),
        refunded="Done. We have refunded 86 yuan for the cup.",
        refused="The refund was not approved. A colleague will write to you.",
    ),
    "zh": Shop(
        help_pages={
            "破损商品": (
                "商品收到时已破损的，请在 7 天内拍照反馈。我们会退款或补发，破损的商品无需寄回。"
            ),
            "退货": "没有破损的商品，未使用的可在 30 天内退货，运费由我们承担。",
            "物流": "包裹会在 3 天内送达，订单页面可以查看物流信息。",
        },
        unknown="店铺的帮助页面中没有相关内容。",
        searching="正在查询订单 {order}",
        question="订单 {order}：杯子 1 个，86 元。是否同意退款？",
        options=("同意", "不同意"),
        refunded="已办理：杯子的 86 元货款已退回。",
        refused="退款未获批准，客服会与您联系。",
    ),
}


def serve_shop(language: str, delay: float) -> LocalCoze:
    """Return a server with the bot of the shop and the workflow that it calls."""
    shop = SHOPS[language]

    def help_desk(question: str, turn: Turn) -> Generator[Any, Any, None]:
        if order := re.search(r"\d{4,}", question):
            result = json.loads((yield ClientTool("refund_cup", {"order": order[0]})))
            yield from shop.refunded if result["approved"] else shop.refused
        else:
            yield from turn.chunks[0].slice if turn.chunks else shop.unknown

    def refund_cup(order: str) -> Generator[Any, Any, dict[str, bool]]:
        """Refund a cup; a person must approve it.

        Args:
            order: The number of the order.
        """
        yield Message(shop.searching.format(order=order), node_title="Orders")
        answer = yield Ask(shop.question.format(order=order), list(shop.options))
        return {"approved": answer == shop.options[0]}

    pages = [
        Document(text, metadata={"title": title, "source": f"https://shop.example/help/{number}"})
        for number, (title, text) in enumerate(shop.help_pages.items(), 1)
    ]
    bot = LocalBot(
        help_desk, name="help_desk", knowledge=LocalKnowledge(pages, name="help", k=2), delay=delay
    )
    return LocalCoze(bot, workflows=refund_cup)
