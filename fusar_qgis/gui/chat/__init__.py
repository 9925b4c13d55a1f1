"""The chat dock: questions about an area in words, answers whose words lead to the map."""
