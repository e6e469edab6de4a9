"""Check the arguments of a call: reject secrets and misspelt names, warn of unknown ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, PrivateAttr

from langchain_coze._base.unsupported import (
    drop_secrets,
    get_argument_names,
    handle_unknown_argument,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class CallArguments(BaseModel):
    """Checks of the arguments of a call and of `bind`, for any Runnable."""

    _warned: set[str] = PrivateAttr(default_factory=set)

    if not TYPE_CHECKING:  # type checkers use the method of Runnable

        def bind(self, **kwargs: Any) -> Any:
            """Bind arguments; see `Runnable.bind`. Secrets cannot be bound."""
            return super().bind(**drop_secrets(kwargs, owner=type(self).__name__))

    def _warn_unknown_arguments(self, names: Iterable[str], accepted: Collection[str]) -> None:
        """Warn once about each unknown argument of a call."""
        for name in sorted(set(names) - set(accepted) - self._warned):
            self._warned.add(name)
            init_only = get_argument_names(type(self))
            handle_unknown_argument(name, accepted, init_only=init_only, owner=type(self).__name__)
