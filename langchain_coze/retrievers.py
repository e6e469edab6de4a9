"""`CozeRecallRetriever`: the knowledge bases of bots and workflows as a LangChain retriever."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from langchain_core.retrievers import BaseRetriever
from pydantic import Field

from langchain_coze import _hints as hints
from langchain_coze._base.bot import (
    ABANDONED,
    PER_CALL_FIELDS,
    USER_CONFIG_KEY,
    BotFields,
    add_config_arguments,
)
from langchain_coze._base.rate_limit import RateLimitField
from langchain_coze._chat.search import RecallParser, recall_from_bot, recall_from_workflow
from langchain_coze._chat.turn import TurnRun
from langchain_coze._convert.recall import to_documents
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document
    from langchain_core.retrievers import LangSmithRetrieverParams

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow

_CONFIG_NAMES = {USER_CONFIG_KEY: "user_id"}
_KNOWN_ARGUMENTS = PER_CALL_FIELDS | {"k", "score_threshold", "verbose"}


class CozeRecallRetriever(RateLimitField, BotFields, BaseRetriever):
    r"""The knowledge bases of a Coze bot or workflow as a LangChain retriever.

    Coze has no API to search a knowledge base. With a bot, the retriever starts a turn and returns
    as soon as the recall is complete, without waiting for the answer; the tokens of the turn are
    billed. A workflow with a knowledge node needs no model.

    Setup:
        Bind a knowledge base to a bot, have it called automatically (自动调用), publish the bot
        with the API channel, and create a token:

        ```bash
        export COZE_API_TOKEN="pat_…"
        export COZE_BOT_ID="7374724495711502387"
        ```

        Without an account, `python -m langchain_coze.local` (extra `local`) starts a test server.

    Key init args — search:
        bot_id: The published bot whose knowledge bases are searched.
        workflow_id: A published workflow to run instead of a bot.
        k: The maximum number of documents.
        score_threshold: The minimum score of a document.
        query_parameter: Workflow: the start-node variable for the question.
        output_path: Workflow: the path of the result list in its output.

    Key init args — client:
        api_key: The token or its source, for example a `CozeJWTAuth`.
        base_url: `https://api.coze.cn`, `https://api.coze.com`, or a Coze Studio.
        timeout: The read timeout in seconds.
        max_retries: The maximum number of retries of requests that cannot have started anything.

    Instantiate:
        ```python
        from langchain_coze import CozeRecallRetriever
        from langchain_coze.local import LocalCoze

        coze = LocalCoze().start()
        retriever = CozeRecallRetriever(
            bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url, k=3
        )
        ```

    Usage:
        ```python
        for document in retriever.invoke("What is a Coze workflow?"):
            print(document.metadata["score"], document.metadata["source"], document.page_content)
        ```

    Per call:
        ```python
        documents = retriever.invoke("What is a Coze workflow?", k=1, score_threshold=0.2)
        ```

    Async:
        ```python
        documents = await retriever.ainvoke("什么是扣子工作流？")
        ```

    Use within a chain:
        ```python
        from langchain_core.prompts import ChatPromptTemplate
        from langchain_core.runnables import RunnablePassthrough

        prompt = ChatPromptTemplate.from_template("{context}\n\nQuestion: {question}")
        context = retriever | (lambda docs: "\n\n".join(doc.page_content for doc in docs))
        chain = {"context": context, "question": RunnablePassthrough()} | prompt
        print(chain.invoke("What is a Coze workflow?").to_string())
        ```

    Returns:
        The `Document`s in the order of the recall; empty if nothing was found. `id` is stable. The
        metadata is flat and contains, if sent by Coze: `score`, `source` (the link, or else the
        document's name), `title`, `dataset_id`, `dataset_name`, `document_id`, `document_name`,
        `link`, `format_type`, `source_type`. It always contains `rank`, which starts at 1.

    Raises:
        CozeRecallError: The search failed.
        CozeError: Any other error; one class per condition.

    Source: Coze API, chat v3 and workflow run (wire sections 3 and 4.2).
    """

    auto_save_history: bool | None = False
    """Whether Coze saves the turn of a search. Can be set per call."""

    k: int | None = Field(default=None, ge=1)
    """The maximum number of documents, the first ones recalled; None for all. Can be set per call.
    The recall limit itself is configured in Coze."""

    score_threshold: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The minimum score of a document; None for no minimum. Coze does not document the scale: check
    the scores of your documents. Documents without a score are kept. Can be set per call."""

    query_parameter: str = Field(default="input", min_length=1)
    """Workflow: the start-node variable for the question."""

    output_path: str | None = None
    """Workflow: the path of the result list in its output, as keys and indexes separated by dots.
    None for `outputList`, or else the only list in the output."""

    recall_grace: float = Field(default=0.25, ge=0, allow_inf_nan=False)
    """Bot: seconds of silence after a recall before the search returns. Any other event from the
    bot ends the wait at once. The wait needs access to the socket: a custom `http_client` that does
    not expose it, or shares it (HTTP/2), waits for the next event."""

    if not TYPE_CHECKING:  # type checkers use the methods of BaseRetriever

        def invoke(self, input: str, config: Any = None, **kwargs: Any) -> list[Document]:  # noqa: A002 - Runnable's name
            """Search; see `BaseRetriever.invoke`. The config may contain the end user."""
            return super().invoke(
                input, config, **add_config_arguments(config, kwargs, _CONFIG_NAMES)
            )

        async def ainvoke(self, input: str, config: Any = None, **kwargs: Any) -> list[Document]:  # noqa: A002 - Runnable's name
            """Async version of `invoke`."""
            return await super().ainvoke(
                input, config, **add_config_arguments(config, kwargs, _CONFIG_NAMES)
            )

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        del run_manager
        limits, driver = self._read_limits(query, kwargs), self._make_driver()
        self._acquire_rate()
        return _select_documents(driver.run(self._search(driver, query, kwargs)), *limits)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        del run_manager
        limits, driver = self._read_limits(query, kwargs), self._make_driver()
        await self._aacquire_rate()
        return _select_documents(await driver.arun(self._search(driver, query, kwargs)), *limits)

    def _read_limits(
        self, query: Any, kwargs: Mapping[str, Any]
    ) -> tuple[int | None, float | None]:
        """Return the document limit and the minimum score; reject invalid values."""
        if not isinstance(query, str) or not query.strip():
            problem = "empty" if isinstance(query, str) else f"of type {type(query).__name__}"
            raise CozeInvalidRequestError(f"The query is {problem}.", hint=hints.EMPTY_QUERY)
        names = {name for name, value in kwargs.items() if value is not None}
        self._warn_unknown_arguments(names, _KNOWN_ARGUMENTS)
        k = kwargs.get("k", self.k)
        if k is not None and (type(k) is not int or k < 1):
            raise CozeInvalidRequestError(f"k is {k!r}.", hint=hints.RESULT_LIMIT)
        threshold = kwargs.get("score_threshold", self.score_threshold)
        is_number = isinstance(threshold, (int, float)) and not isinstance(threshold, bool)
        if threshold is not None and not (is_number and 0 <= threshold < math.inf):
            raise CozeInvalidRequestError(
                f"score_threshold is {threshold!r}.", hint=hints.SCORE_THRESHOLD
            )
        return k, threshold

    def _search(
        self, driver: Driver, query: str, kwargs: Mapping[str, Any]
    ) -> Flow[list[dict[str, Any]]]:
        """Return the chunks recalled by the workflow or the bot; finish the turn of the bot."""
        options = self._build_options(kwargs, is_workflow=True)
        if options.workflow_id:
            inputs = {self.query_parameter: query}
            return (yield from recall_from_workflow(options, inputs, self.output_path))
        turn = TurnRun(options, RecallParser)
        try:
            chunks = yield from recall_from_bot(turn, query, self.recall_grace)
        except ABANDONED:
            self._cancel_if_abandoned(driver, turn)
            raise
        else:
            self._cancel_if_abandoned(driver, turn)
            return chunks
        finally:
            turn.finish()

    def _resolve_target(self, kwargs: Mapping[str, Any]) -> tuple[str, str, str]:
        bot_id, workflow_id, app_id = super()._resolve_target(kwargs)
        is_explicit = bool(kwargs.get("bot_id") or kwargs.get("model"))
        if workflow_id and not is_explicit and "bot_id" not in self.model_fields_set:
            bot_id = ""  # from the environment, so not for this search
        return bot_id, workflow_id, app_id

    def _resolve_conversation_id(self, kwargs: Mapping[str, Any], model_name: str) -> str | None:
        """Return the conversation of this search, never the one in a config.

        A config contains the user's conversation with a bot, which a search must not change.
        """
        del model_name
        conversation_id = kwargs.get("conversation_id") or self.conversation_id
        return None if conversation_id is None else str(conversation_id)

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_retriever_name"] = "coze_recall"
        return params


def _select_documents(
    chunks: Sequence[Mapping[str, Any]], k: int | None, threshold: float | None
) -> list[Document]:
    """Return the first `k` chunks with a sufficient score as documents."""
    if threshold is not None:
        if chunks and all("score" not in chunk["metadata"] for chunk in chunks):
            warn_user(hints.NO_SCORES)
        chunks = [c for c in chunks if c["metadata"].get("score", math.inf) >= threshold]
    return to_documents(chunks[:k])
