"""How long the calls take that people make of a tokenizer, in two versions that take turns."""
