"""Pool → pairs: which chosen completion meets which rejected one."""

MINING_VERSION = "1"
"""Changes whenever the same pool, profiles and settings would give other pairs."""
