"""Pydantic fields that define how to reach a coze.site project."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import Field, SecretStr

from langchain_coze import _site_hints as site_hints
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._base.connection import ConnectionFields, TimeLimit
from langchain_coze._environment import (
    clean_site_url,
    from_env,
    get_project_name,
    secret_from_env,
)
from langchain_coze.errors import CozeAuthenticationError

if TYPE_CHECKING:
    from langchain_coze._api.driver import Driver

_DAY = 86_400.0  # seconds; a project stops every task after a day
_MAX_PAUSE = 15.0  # seconds between two status requests


class SiteFields(ConnectionFields):
    """The fields that define how to reach a coze.site project."""

    api_key: SecretStr | Callable[[], Any] | Any = Field(
        default_factory=secret_from_env("COZE_SITE_TOKEN"), repr=False
    )
    """The project's API token (`eyJ…`): a str, a function that returns one, or an object with a
    `token` attribute. Env `COZE_SITE_TOKEN`; `COZE_API_TOKEN` is for another service."""

    base_url: str = Field(
        default_factory=from_env("COZE_SITE_BASE", default=""), validate_default=True
    )
    """The address of the project: `https://<name>.coze.site`. Env `COZE_SITE_BASE`."""

    timeout: Any = 300.0
    """Read timeout in seconds, an `httpx.Timeout`, or None for no limit. The stream of an agent is
    silent while one of its tools runs."""

    max_duration: TimeLimit = Field(default=None, gt=0)
    """Maximum seconds for a whole call; then `CozeTimeoutError` is raised. None for no limit."""

    poll_interval: float = Field(default=1.0, gt=0)
    """Asynchronous runs: seconds between status requests during the first 10 s. The interval then
    grows to a tenth of the elapsed time, up to 15 s."""

    poll_timeout: float = Field(default=_DAY, gt=0)
    """Asynchronous runs: seconds before `CozeTimeoutError` is raised."""

    @staticmethod
    def _clean_url(value: str) -> str:
        return clean_site_url(value)

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable of each secret."""
        return {"api_key": "COZE_SITE_TOKEN"}

    @property
    def _project_name(self) -> str:
        """The name of the project."""
        return get_project_name(self.base_url)

    def _make_driver(self) -> Driver:
        """Return a driver for the project.

        Raises:
            CozeAuthenticationError: The token is missing or has invalid characters.
        """
        try:
            return super()._make_driver()
        except CozeAuthenticationError as error:
            raise error.with_context(hint=site_hints.AUTHENTICATION) from error.__cause__

    def _collect_site_options(self) -> dict[str, Any]:
        """Return the call options that agents and workflows have in common."""
        polling = self._build_polling(self.poll_interval, self.poll_timeout)
        return {
            "name": self._project_name,
            "retry_policy": RetryPolicy.for_call(self.max_retries, self.max_duration),
            "polling": polling._replace(max_pause=max(_MAX_PAUSE, self.poll_interval)),
        }
