"""Models as engines serve them: the same texts and conversations, the same ids and prompts."""
