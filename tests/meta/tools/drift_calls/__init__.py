"""What drift observes of calls, settings and loaded models; its releases and its cache."""
