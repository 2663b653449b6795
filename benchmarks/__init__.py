"""What the attention backends cost: time and memory of whole training steps, and their floor."""
