"""Where a model's files and weights come from: the bundle, the hub, a folder, random values.

Imports only data, memory and what lies below them; no tokenizers, models, pytest plugins or tools.
"""
