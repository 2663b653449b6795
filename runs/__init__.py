"""Recipes: a file for every row of results, and what runs them and tabulates what they gave."""
