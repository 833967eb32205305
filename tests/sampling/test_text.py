"""Where completions end."""

import pytest

from trl_weighted_dpo.sampling.text import ended


@pytest.mark.parametrize(
    ("text", "stop", "is_cut", "expected"),
    [
        ("A: 4", (), False, ("A: 4", False)),
        ("A: 4", (), True, ("A: 4", True)),
        ("A: 4\n\nQ: 5", ("\n\n", "Q:"), False, ("A: 4", False)),
        # The backend has passed over the stop string and gone on to the maximum length.
        ("A: 4\n\nQ: 5", ("Q:",), True, ("A: 4\n\n", False)),
        ("A: 4\n\nQ: 5", ("Question:",), True, ("A: 4\n\nQ: 5", True)),
    ],
)
def test_a_stop_string_is_an_end(text, stop, is_cut, expected):
    assert ended(text, stop, is_cut) == expected
