"""What a run leaves besides the terminal: report.json and its page, JUnit's properties, GitHub.

Imports every package of the harness; none of them imports this one.
"""
