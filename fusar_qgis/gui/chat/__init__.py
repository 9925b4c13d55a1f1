"""The chat dock: questions about an area, and answers with links to the map."""
