"""The pictures of README and docs/, one file each: ``draw(folder)`` writes it there."""
