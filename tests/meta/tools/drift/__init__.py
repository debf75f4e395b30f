"""What drift observes of calls, settings and loaded models, and the search through its releases."""
