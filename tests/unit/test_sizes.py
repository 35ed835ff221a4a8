"""Sizes and the readings of MB."""

import pytest

from congvu_mail.sizes import attachment_bytes, quota_bytes, size_bytes, transport_limit


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500MB", 500_000_000), ("500 MB", 500_000_000), ("2GiB", 2 * 1024**3), ("1KiB", 1024), ("7B", 7), ("1TB", 10**12)],
)
def test_size_bytes_takes_the_unit_literally(text, expected):
    assert size_bytes(text) == expected


@pytest.mark.parametrize("value", ["", "500", "MB", "1.5GB", "2 gb", "-1MB", 500, None, ["1MB"]])
def test_what_is_not_a_size_is_named(value):
    with pytest.raises(ValueError, match="không phải là dung lượng") as error:
        size_bytes(value)
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("leaf", "expected"),
    [
        ({"value": "2GB", "bound": {"min": "2GB"}}, 2 * 1024**3),
        ({"value": "2GiB", "bound": {"exact": "2GiB"}}, 2 * 1024**3),
        ({"value": "500MB", "bound": {"max": "500MB"}}, 500_000_000),
        ({"value": "5GB", "basis": "operator"}, 5 * 1024**3),
    ],
)
def test_a_quota_obeys_the_regulation_in_either_reading(leaf, expected):
    assert quota_bytes(leaf) == expected


@pytest.mark.parametrize("leaf", [None, "2GB", {"bound": {"min": "2GB"}}])
def test_a_quota_that_is_no_leaf_is_named(leaf):
    with pytest.raises(ValueError, match="không phải là một mục dung lượng"):
        quota_bytes(leaf)


@pytest.mark.parametrize("text", ["50MB", "50MiB"])
def test_fifty_megabytes_pass_in_either_reading_and_no_more(text):
    assert attachment_bytes(text) == 50 * 1024**2 < 52 * 1024**2


def test_the_limit_on_the_wire_carries_the_attachments_as_base64():
    encoded = 52_428_800 * 4 / 3 * 78 / 76  # base64 in lines of 76 characters with CRLF
    assert encoded < transport_limit("50MB") - 1024**2 < encoded * 1.002
