"""Text into what a checker can compare: characters, numbers, LaTeX, structures and the final answer."""
