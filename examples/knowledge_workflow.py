"""A knowledge base searched by a workflow: no model, so no model tokens.

Run it with `python examples/knowledge_workflow.py`. It asks a local server; with workflows of
yours, give their `workflow_id` and your token, which needs the permission to run workflows.
"""

from __future__ import annotations

from typing import Any

from langchain_coze import CozeRecallRetriever
from langchain_coze.local import LocalCoze, LocalKnowledge, LocalWorkflow, knowledge_workflow

TEA = LocalKnowledge(
    [
        "Longjing tea grows on the hills around West Lake in Hangzhou.",
        "Pu'er tea grows in Yunnan.",
        "龙井茶产自杭州西湖周围的山上。",
    ],
    name="tea",
)


def search_tea(question: str, top: int = 3) -> dict[str, Any]:
    """Play a workflow whose code node has renamed and enriched what the knowledge node found."""
    found = TEA.search(question, top)
    hits = [{"text": f.slice, "score": f.score, "file_name": f.document_name} for f in found]
    return {"result": {"hits": hits}, "keywords": question.split()}


def show(retriever: CozeRecallRetriever, question: str) -> None:
    """Print what a retriever finds."""
    for document in retriever.invoke(question):
        print(f"  {document.page_content}  {document.metadata}")


def main() -> None:
    """Search with a plain workflow, then with one that has names of its own."""
    # Start: input -> knowledge node: Query -> End: outputList
    plain = knowledge_workflow(TEA, name="find_tea")
    own = LocalWorkflow(search_tea)
    with LocalCoze(workflows=[plain, own]) as coze:
        retriever = CozeRecallRetriever(
            workflow_id=plain.workflow_id, api_key=coze.token, base_url=coze.base_url, k=1
        )
        for question in ("Where does Longjing tea grow?", "龙井茶产自哪里？"):
            print(f"> {question}")
            show(retriever, question)

        print("> names of its own / 自定义的名称")
        named = CozeRecallRetriever(
            workflow_id=own.workflow_id,
            api_key=coze.token,
            base_url=coze.base_url,
            query_parameter="question",  # the variable of the start node
            parameters={"top": 2},  # its other variables
            output_path="result.hits",  # where the list is in the output
            score_threshold=0.2,
        )
        show(named, "Where does Pu'er tea grow?")
        print("requests / 请求:", *(request.path for request in coze.requests))


if __name__ == "__main__":
    main()
