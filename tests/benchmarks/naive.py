"""The model one writes in an afternoon: httpx lines, json.loads, validated chunks."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import (
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import BaseModel, PrivateAttr

from tests.benchmarks import wire


class NaiveEvent(BaseModel):
    """The fields of a message event that the model reads."""

    id: str
    conversation_id: str
    role: str = ""
    type: str = ""
    content: str = ""
    content_type: str = ""
    chat_id: str = ""


def request_body(question: str) -> dict[str, Any]:
    return {
        "bot_id": wire.BOT_ID,
        "user_id": "bench",
        "stream": True,
        "auto_save_history": False,
        "additional_messages": [
            {"role": "user", "type": "question", "content": question, "content_type": "text"}
        ],
    }


def _chunk(name: str, line: str) -> ChatGenerationChunk | None:
    """Return the chunk of a data line that follows the event `name`, if it is a delta."""
    if name != "conversation.message.delta" or not line.startswith("data:"):
        return None
    event = NaiveEvent(**json.loads(line[5:]))
    if event.type != "answer":
        return None
    return ChatGenerationChunk(message=AIMessageChunk(content=event.content))


class NaiveCoze(BaseChatModel):
    """A chat model for Coze without any care for speed or failures."""

    base_url: str
    _client: httpx.Client = PrivateAttr()
    _async_client: httpx.AsyncClient = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        super().model_post_init(context)
        headers = {"Authorization": f"Bearer {wire.TOKEN}"}
        self._client = httpx.Client(base_url=self.base_url, headers=headers)
        self._async_client = httpx.AsyncClient(base_url=self.base_url, headers=headers)

    @property
    def _llm_type(self) -> str:
        return "naive-coze"

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        del stop, kwargs
        body = request_body(str(messages[-1].content))
        with self._client.stream("POST", "/v3/chat", json=body) as response:
            name = ""
            for line in response.iter_lines():
                if line.startswith("event:"):
                    name = line[6:]
                elif chunk := _chunk(name, line):
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        del stop, kwargs
        body = request_body(str(messages[-1].content))
        async with self._async_client.stream("POST", "/v3/chat", json=body) as response:
            name = ""
            async for line in response.aiter_lines():
                if line.startswith("event:"):
                    name = line[6:]
                elif chunk := _chunk(name, line):
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))
