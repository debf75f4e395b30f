"""What the tests are made of. From the top; a package imports only from below (`.importlinter`).

finish              the end of a run, in order
reports             report.json and its page, JUnit, GitHub
latency, snapshots  measured times and their verdict; recorded outputs and when they are written
gate                what a run must prove, and what it left out
checks, plugins     judges that fail with one message; pytest's options, results, known failures
batches             many prompts at once
engines             models as other engines serve them
forward, adapters   an independent forward pass, beside what a model computed; LoRA on a model
model, tokenizer    models in memory; tokenizers and chat templates
sources             files and weights: the bundle, the hub, a folder
examination         whether a folder may be loaded
memory, prices      bytes by arithmetic; the price task
data                fixtures as typed objects
html, console       pages; how commands print and exit
redaction, errors   hidden access tokens; the errors that users see
environments        beside this one: of other versions, of engines
diff, text, files, versions
"""
