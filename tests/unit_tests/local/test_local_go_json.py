"""Go-style JSON: expected bytes are written out by hand from the rules of Go's encoder."""

import json

import pytest

from langchain_coze.local.wire import go_json


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1, "b": [True, None]}, '{"a":1,"b":[true,null]}'),
        ("扣子", '"扣子"'),
        ("a&b<c>d", '"a\\u0026b\\u003cc\\u003ed"'),
        ("\u2028\u2029", '"\\u2028\\u2029"'),
        # U+0085 is a line end for str.splitlines, but Go leaves it alone.
        ("\u0085", '"\u0085"'),
        ("a\ud800b", '"a\ufffdb"'),
        ('"\\\n', '"\\"\\\\\\n"'),
        (7611703448279351315, "7611703448279351315"),
    ],
)
def test_a_value_is_written_as_go_does(value: object, expected: str) -> None:
    assert go_json.dumps(value) == expected


def test_each_level_is_escaped_before_it_is_embedded() -> None:
    inner = go_json.dumps({"url": "https://h/p?a=1&b=2"})
    middle = go_json.dumps({"data": inner})
    outer = go_json.dumps({"content": middle})
    assert outer == (
        r'{"content":"{\"data\":\"{\\\"url\\\":\\\"https://h/p?a=1\\\\u0026b=2\\\"}\"}"}'
    )
    assert json.loads(json.loads(json.loads(outer)["content"])["data"])["url"].endswith("a=1&b=2")


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        go_json.dumps(float("nan"))
