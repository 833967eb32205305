"""What several stages share: rows and files, identities, journals, models, texts, tokens and workers."""
