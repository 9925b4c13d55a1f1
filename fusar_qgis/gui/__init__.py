"""What the analyst sees and touches: the map tool, the question, the progress."""
