"""The forward pass: an independent reference, what a model computed, and where the two part.

`reference` computes in plain torch from published formulas, `recording` keeps what each part of a
loaded model was given and returned, `comparison` puts both side by side.
"""
