"""A rate limiter for components other than chat models, which inherit LangChain's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import BaseModel, ConfigDict, Field

from langchain_coze._base.unsupported import FieldSignature


class RateLimitField(BaseModel):
    """Adds `rate_limiter` to a component."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    if not TYPE_CHECKING:
        __signature__ = FieldSignature()

    rate_limiter: BaseRateLimiter | None = Field(default=None, exclude=True)
    """Limits the rate of runs, as for chat models. Share one limiter between all components that
    use the same Coze account, for instance `InMemoryRateLimiter(requests_per_second=5)`."""

    def _acquire_rate(self) -> None:
        if self.rate_limiter is not None:
            self.rate_limiter.acquire(blocking=True)

    async def _aacquire_rate(self) -> None:
        if self.rate_limiter is not None:
            await self.rate_limiter.aacquire(blocking=True)
