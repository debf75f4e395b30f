"""Models of users' own: tiny folders of many families, drafted, spoiled before and after."""
