"""What a library makes of a model, area by area: runs inside each environment, judges nothing."""
