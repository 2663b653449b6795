"""The app: a page on this machine that turns images and looks inside networks."""
