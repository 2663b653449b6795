"""Programs that show something and assert it."""
