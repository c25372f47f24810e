"""What other libraries write and take: events of dp_accounting, states of Opacus accountants, plans of JAX Privacy.

Files are data here: classes go by name against a list, and nothing that a file names is imported.
"""
