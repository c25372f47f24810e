"""How results look: the only code that formats. Pure functions from result types to lines, tables and JSON.

What a command shows is in the module of its name (compare_plans, check, curve, ...). What they share:

    number_format   rounding that never claims more privacy than was proven
    bound_text      one figure in words
    plan_rows       what it rests on
    explanation     how it came about
    limits          why it does not pass, or passes unproven
    bound_detail_glossary
                    what methods, error terms and details are called
    proof           the digits that are certain
    cost            figures at several places, for every command that has them
    table           rows and columns, plain or in colour
    to_json         JSON: unrounded, null where there is no bound

Nothing here prints, and nothing here computes a privacy figure.
"""
