"""Pool → pairs: which chosen completion meets which rejected one."""

MINING_VERSION = "1"
"""Result version of pairs and of their text: it changes whenever the same candidates may give other pairs."""
