"""How results look: the only code that formats. Pure functions from result types to lines, tables and JSON.

    numbers   rounding that never claims more privacy than was proven
    text      headlines, rows and explanations, at most 80 columns wide where the content allows
    table     rows and columns, plain or in colour
    tables    the table of each result type
    data      the JSON of each result type: unrounded, null where there is no bound

Nothing here prints, and nothing here computes a privacy figure.
"""
