"""The `weighted_dpo:` block of an Axolotl YAML, made of the package's settings."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from trl_weighted_dpo.settings import (
    AXOLOTL_BLOCK,
    HardnessConfig,
    PairingConfig,
    ReadingConfig,
    RenderingConfig,
    WeightingConfig,
    settings_of,
)

PAIRING_FIELDS = tuple(setting.name for setting in settings_of(PairingConfig))
RENDERING_FIELDS = tuple(setting.name for setting in settings_of(RenderingConfig))
MINING_FIELDS = (*PAIRING_FIELDS, *RENDERING_FIELDS, *(setting.name for setting in settings_of(ReadingConfig)))
"""Settings that decide which pairs there are and how they read."""


class _Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, allow_inf_nan=False)


def _model(name: str, doc: str, *configs: type) -> Any:
    """A model of pydantic with the settings of dataclasses: type, bounds, default, help."""
    fields: dict[str, Any] = {}
    for setting in (setting for config in configs for setting in settings_of(config)):
        if setting.is_nested:
            kind: Any = _model(setting.kind.__name__, f"{setting.help} `{setting.key}:` in the block.", setting.kind)
            fields[setting.name] = (kind, Field(default_factory=kind, description=setting.help))
        else:
            alias = None if setting.key == setting.name else setting.key
            field = Field(default=setting.default, alias=alias, description=setting.help)
            marks = setting.bounds if setting.kind is not Mapping else (BeforeValidator(setting.read),)
            bounded = Annotated[setting.hint, *marks] if marks else setting.hint
            fields[setting.name] = (bounded, field)
    return create_model(name, __base__=_Forbidding, __doc__=doc, __module__=__name__, **fields)


_Block: Any = _model("_Block", "Nested configuration available under the `weighted_dpo` key.", *AXOLOTL_BLOCK)


class WeightedDPOBlockConfig(_Block):
    """Nested configuration available under the `weighted_dpo` key: see [`~settings`] for its fields."""

    @model_validator(mode="after")
    def _check(self) -> "WeightedDPOBlockConfig":
        # What depends on several settings, or on plugins.
        WeightingConfig(**{setting.name: getattr(self, setting.name) for setting in settings_of(WeightingConfig)})
        self.pairing  # noqa: B018
        return self

    @property
    def pairing(self) -> PairingConfig:
        """The mining settings."""
        values = {name: getattr(self, name) for name in PAIRING_FIELDS}
        hardness = HardnessConfig(**self.hardness.model_dump())
        return PairingConfig(**values | {"hardness": hardness})


class WeightedDPOArgs(BaseModel):
    """Plugin entry that exposes the nested `weighted_dpo` block to the core config."""

    weighted_dpo: WeightedDPOBlockConfig | None = Field(
        default=None, description="Weighted DPO: weights of the pairs, and mining of pairs from a pool"
    )
