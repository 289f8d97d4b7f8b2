"""The grammar of selectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_registry.image_api.selectors import LONGEST, FieldSelector, LabelSelector
from image_registry.image_api.status import BadRequest

FIELDS = ("metadata.name", "metadata.namespace")


@pytest.mark.parametrize(
    ("selector", "matching", "other"),
    [
        ("a=b", {"a": "b"}, {"a": "c"}),
        ("a==b", {"a": "b"}, {}),
        (" a = b , c ", {"a": "b", "c": ""}, {"a": "b"}),
        ("a!=b", {}, {"a": "b"}),
        ("a!=", {"a": "x"}, {"a": ""}),
        ("a=", {"a": ""}, {}),
        ("a", {"a": "anything"}, {"b": "a"}),
        ("!a", {"b": "a"}, {"a": ""}),
        ("! a", {}, {"a": ""}),
        ("a in (x, y)", {"a": "y"}, {"a": "z"}),
        ("a in ()", {"a": ""}, {"a": "z"}),
        ("a notin (x,y)", {}, {"a": "x"}),
        ("a>5", {"a": "6"}, {"a": "5"}),
        ("a<5", {"a": "-1"}, {"a": "five"}),
        ("in in (in)", {"in": "in"}, {"in": "out"}),
        ("example.com/a.b_c=v-1.0", {"example.com/a.b_c": "v-1.0"}, {"a.b_c": "v-1.0"}),
        ("a=b,a=c", {"a": "never"}, {"a": "b"}),
    ],
)
def test_label_selectors_mean_what_they_mean_in_kubernetes(
    selector: str, matching: dict[str, str], other: dict[str, str]
) -> None:
    parsed = LabelSelector.parse(selector)
    if selector != "a=b,a=c":
        assert parsed.matches(matching)
    assert not parsed.matches(other)


@pytest.mark.parametrize(
    "selector",
    [
        *("a in x", "a in (x", "a in ((x))", "=b", "a=b=c", "a,,b", "a,", ",", "a b", "a=b c", "a>b", "a>", "-a", "!"),
        *("a/b/c", "/a", f"a={'x' * 64}", "é=1", "a=é", "a" * (LONGEST + 1)),
    ],
)
def test_a_label_selector_that_cannot_be_read_is_refused(selector: str) -> None:
    with pytest.raises(BadRequest):
        LabelSelector.parse(selector)


@given(st.text(max_size=40) | st.text(alphabet="ab=!,()<> in", max_size=40))
def test_no_label_selector_breaks_the_parser(text: str) -> None:
    try:
        parsed = LabelSelector.parse(text)
    except BadRequest:
        return
    assert parsed.matches({"a": "b"}) in (True, False)


def test_an_empty_selector_selects_everything() -> None:
    for text in ("", "  "):
        assert LabelSelector.parse(text).matches({})
    assert FieldSelector.parse("", FIELDS).matches({})


@pytest.mark.parametrize(
    ("selector", "name", "selected"),
    [
        ("metadata.name=app", "app", True),
        ("metadata.name==app", "app", True),
        ("metadata.name=app", "App", False),
        ("metadata.name!=app", "app", False),
        (r"metadata.name=a\,b\=c\\", r"a,b=c\ ".strip(), True),
        ("metadata.name=app,metadata.name=web", "app", False),
        ("metadata.name=", "", True),
        (",metadata.name=app,", "app", True),
    ],
)
def test_field_selectors_compare_texts(selector: str, name: str, selected: bool) -> None:
    fields = {"metadata.name": name, "metadata.namespace": "team"}
    assert FieldSelector.parse(selector, FIELDS).matches(fields) is selected


@pytest.mark.parametrize(
    "selector", ["metadata.name", "status.x=1", "=x", "metadata.name=a=b", "metadata.name=a\\z", "x" * 9000]
)
def test_a_field_selector_that_cannot_be_read_is_refused(selector: str) -> None:
    with pytest.raises(BadRequest):
        FieldSelector.parse(selector, FIELDS)


@given(st.text(max_size=40) | st.text(alphabet="metadata.name=!,\\", max_size=40))
def test_no_field_selector_breaks_the_parser(text: str) -> None:
    try:
        parsed = FieldSelector.parse(text, FIELDS)
    except BadRequest:
        return
    assert parsed.matches({"metadata.name": "a", "metadata.namespace": "b"}) in (True, False)


def test_a_selector_that_asks_too_much_of_each_object_is_refused_in_a_sentence() -> None:
    assert LabelSelector.parse(",".join(["!a"] * 200)).matches({})
    with pytest.raises(BadRequest, match="more than 200 requirements"):
        LabelSelector.parse(",".join(["!a"] * 201))
    assert LabelSelector.parse(f"a in ({','.join(str(number) for number in range(1500))})").matches({"a": "7"})
    with pytest.raises(BadRequest, match="more than 200 terms"):
        FieldSelector.parse(",".join(["metadata.name!=a"] * 201), FIELDS)
