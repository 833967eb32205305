"""The whole method from one YAML: SFT → sample → verify → score → mine → weigh → train → evaluate."""
