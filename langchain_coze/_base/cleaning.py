"""Clean the values of fields when they are set, also after the construction of an object.

Pydantic validates the arguments of a constructor, but neither an assignment nor the `update` of
`model_copy`: a token would stay a bare str, which `vars` and `model_dump` show.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, BaseModel, SecretStr

from langchain_coze import _hints as hints
from langchain_coze._environment import clean_base_url
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return default headers that can be sent.

    Raises:
        ValueError: A header is `Authorization`, or is not plain ASCII. The text never quotes a
            value, which may be a secret.
    """
    for name, value in headers.items():
        if name.strip().lower() == "authorization":
            raise ValueError(hints.HEADER_AUTHORIZATION)
        is_plain = value.isascii() and value.isprintable() and value == value.strip()
        if not is_plain or not _HEADER_NAME.fullmatch(name):
            raise ValueError(hints.HEADER_FORM.format(name=name))
    return headers


def hide_secrets(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return fields of another object, by name, without bare secrets."""
    return {name: clean_field(name, value) for name, value in options.items()}


_CLEANERS: Mapping[str, Callable[[Any], Any]] = {
    "api_key": lambda value: SecretStr(value) if isinstance(value, str) else value,
    "default_headers": check_headers,
    "tool_options": hide_secrets,
}
_OTHER_NAMES = {"coze_api_key": "api_key", "coze_api_base": "base_url"}


def clean_field(name: str, value: Any, clean_url: Callable[[str], str] = clean_base_url) -> Any:
    """Return the value of a field as a constructor would store it; most are returned unchanged.

    Args:
        name: The name of the field, or the other name that its constructor accepts.
        value: The value.
        clean_url: Validates a `base_url`.

    Raises:
        CozeInvalidRequestError: The value is invalid.
    """
    name = _OTHER_NAMES.get(name, name)
    clean = clean_url if name == "base_url" else _CLEANERS.get(name)
    if clean is None or value is None:
        return value
    try:
        return clean(value)
    except ValueError as error:
        raise CozeInvalidRequestError(str(error)) from None


def clean_update(
    model: type[BaseModel],
    update: Mapping[str, Any] | None,
    clean_url: Callable[[str], str] = clean_base_url,
) -> dict[str, Any]:
    """Return the `update` of `model_copy` by the names of the fields; see `clean_field`."""
    names = {
        str(choice): name
        for name, field in model.model_fields.items()
        if isinstance(field.validation_alias, AliasChoices)
        for choice in field.validation_alias.choices
    }
    return {
        names.get(name, name): clean_field(name, value, clean_url)
        for name, value in (update or {}).items()
    }
