"""`python -m trl_weighted_dpo.cli`, for launchers such as torchrun that start modules."""

from trl_weighted_dpo.cli import main

main()
