"""Pool → pairs: which chosen completion meets which rejected one."""
