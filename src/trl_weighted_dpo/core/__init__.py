"""What several stages share: rows and their files, journals, fingerprints, models, texts, tokens and workers."""
