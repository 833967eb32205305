"""What several dimensions check statements with."""
