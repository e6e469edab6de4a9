"""A folder of Markdown files as a Coze knowledge base, kept in step, and a question with sources.

    python examples/knowledge_index.py
    python examples/knowledge_index.py docs/en "How do I stop early?"

Without an account it fills a knowledge base of a local server. With COZE_API_TOKEN, COZE_DATASET_ID
and COZE_BOT_ID set it fills yours in Coze, and asks the bot that uses it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, index

from langchain_coze import ChatCoze, CozeError, CozeKnowledge, recalled_documents
from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTION = "Where does Longjing tea grow? / 龙井茶产自哪里？"
NOTES = {
    "longjing.md": "# Longjing\n\nLongjing tea grows around West Lake. 龙井茶产自西湖周围。\n",
    "puer.md": "# Pu'er\n\nPu'er tea grows in Yunnan. 普洱茶产自云南。\n",
}
_NEEDED = ("COZE_API_TOKEN", "COZE_DATASET_ID", "COZE_BOT_ID")


@contextmanager
def find_coze() -> Iterator[dict[str, Any]]:
    """Give the account, the knowledge base and the bot: yours, or those of a local server."""
    if all(os.environ.get(name) for name in _NEEDED):
        yield {"dataset_id": os.environ["COZE_DATASET_ID"]}
        return
    with LocalCoze(LocalBot(knowledge=LocalKnowledge((), name="notes"))) as coze:
        print(f"Local Coze server at {coze.base_url}, no account needed / 本地服务，无需账号")
        print(f"To fill your own / 使用自己的知识库: set {', '.join(_NEEDED)}\n")
        dataset_id = coze.bots[0].bases[0].dataset_id
        account = {"api_key": coze.token, "base_url": coze.base_url}
        yield {**account, "bot_id": coze.bots[0].bot_id, "dataset_id": dataset_id}


def load(folder: Path) -> list[Document]:
    """Read the Markdown files of a folder; a document loader of LangChain does the same."""
    return [
        Document(path.read_text("utf-8"), metadata={"source": path.relative_to(folder).as_posix()})
        for path in sorted(folder.rglob("*.md"))
    ]


def main() -> None:
    """Index the folder twice, then ask."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    question = " ".join(sys.argv[2:]) or QUESTION
    if not folder.is_dir():
        sys.exit(f"{folder} is not a folder. / {folder} 不是文件夹。")
    if len(sys.argv) == 1:
        for name, text in NOTES.items():
            (folder / name).write_text(text, "utf-8")
    with find_coze() as fields:
        bot_id = fields.pop("bot_id", None) or os.environ["COZE_BOT_ID"]
        knowledge = CozeKnowledge(**fields)
        # For a real folder take a manager that stores its records, such as SQLRecordManager.
        records = InMemoryRecordManager("notes")
        options: Any = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
        for run in ("First run / 第一次", "Second run / 第二次"):
            print(f"{run}: {index(load(folder), records, knowledge, **options)}")
        for document in knowledge.documents():
            print(f"  {document.name}: {document.status}, {document.slice_count} slices / 分段")
        fields.pop("dataset_id")
        answer = ChatCoze(bot_id=bot_id, **fields).invoke(question)
    print(f"\n> {question}\n{answer.text}\n")
    for source in recalled_documents(answer):
        print(f"  {source.metadata['score']:.2f}  {source.metadata['source']}")


if __name__ == "__main__":
    try:
        main()
    except CozeError as error:
        sys.exit(str(error))
