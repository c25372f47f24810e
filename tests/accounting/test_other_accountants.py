"""Names of accountants elsewhere: what answers them here is told."""

import pytest

from dpplan.accounting.other_accountants import unknown


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("PRV", "exact answers it"),
        ("tf_privacy", "Its pld is answered by exact"),
        ("connect-the-dots", "exact answers it"),
        ("rdpp", "Did you mean 'rdp'?"),
    ],
)
def test_what_answers_a_name_is_told(name: str, answer: str) -> None:
    told = unknown(name, ("exact", "rdp"))
    assert told.startswith(f"accountant={name} is not one of: exact, rdp. ")
    assert answer in told
