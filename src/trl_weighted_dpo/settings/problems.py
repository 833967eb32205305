"""Settings of problem sets."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from typing_extensions import Doc

from trl_weighted_dpo.settings.common import Columns, Split
from trl_weighted_dpo.settings.setting import check


@dataclass(frozen=True)
class SourceConfig:
    """How problems are loaded.

    Raises:
        `ValueError`: If a value is out of its range.
    """

    preset: Annotated[
        str | None,
        Doc(
            "What the columns mean: a name in the table of layouts, such as gsm8k or math; custom; or auto, by their "
            "names."
        ),
    ] = None
    column: Columns = ()
    split: Split = None
    limit: Annotated[int | None, Ge(1), Doc("Most problems, from the first on.")] = None

    def __post_init__(self) -> None:
        check(self)
