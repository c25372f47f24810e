"""dpplan export, and the files it writes where a plan or --spent is read."""

import json
import pickle
from pathlib import Path

import pytest

from dpplan import __main__ as program
from dpplan.commands import export as command
from dpplan.commands.shared import foreign_files
from dpplan.render import export

REPEATED = b'{"class_name": "SelfComposedDpEvent", "count": 1' + 299 * b"0" + b', "event": '
GAUSSIAN = b'{"class_name": "GaussianDpEvent", "noise_multiplier": 3}'
BANDMF = b'{"iterations": 9, "strategy": [1], "noise_multiplier": 3, "sampling_prob": 0.1, %b}'


def nested(deep: int) -> list[object]:
    """Small in a pickle, which holds each part once, and 2^deep numbers when it is written out."""
    found: list[object] = [1]
    for _ in range(deep):
        found = [found, found]
    return found


RUN = ["--sigma", "1.1", "--q", "0.01", "--steps", "1000"]


def ran(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> str:
    assert program.run(list(map(str, words))) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def epsilon(capsys: pytest.CaptureFixture[str], *words: object) -> float:
    content = json.loads(ran(capsys, "epsilon", *words, "--delta", "1e-6", "--json"))
    return float(content["results"][0]["epsilon"]["upper"])


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("library", [each for each in command.LIBRARIES if each != "registry"])
def test_what_is_exported_costs_the_same_where_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], library: str
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(ran(capsys, "export", "--to", library, *RUN), encoding="utf-8")
    assert foreign_files.is_plan(file) or foreign_files.is_state(file)
    assert epsilon(capsys, "--phases", file) == pytest.approx(epsilon(capsys, *RUN), rel=1e-9)
    once, twice = epsilon(capsys, "--spent", file, *RUN), epsilon(capsys, "--phases", file, "--spent", file)
    assert once == pytest.approx(twice, rel=1e-9) and once > epsilon(capsys, *RUN)


def test_a_pickle_and_a_checkpoint_of_torch_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    state = {"history": [(1.1, 0.01, 1000)], "mechanism": "rdp"}
    (tmp_path / "state.pkl").write_bytes(pickle.dumps(state))
    torch.save({"module_state_dict": {"w": torch.zeros(2)}, "privacy_accountant_state_dict": state}, tmp_path / "c.pt")
    for name in ("state.pkl", "c.pt"):
        assert epsilon(capsys, "--phases", tmp_path / name) == pytest.approx(epsilon(capsys, *RUN), rel=1e-9)


def test_the_registry_tells_all_that_it_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--sigma", "1", "--q", "0.01", "--steps", "9", "--delta", "1e-6", "--to", "registry"]
    assert "2 problems with this entry of the public registry of DP deployments\n" in ran(
        capsys, "export", *few, code=2
    )


@pytest.mark.slow
def test_an_entry_of_the_registry_has_what_was_stated(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--sigma", "1", "--q", "0.01", "--steps", "9", "--delta", "1e-6", "--to", "registry"]
    stated = [f"--state={key}=X" for key in ("name", "description", "curator", "intended_use", "region", "authors")]
    stated += ["--state=publication_date=2026-01-01", "--state=product=Dataset"]
    assert "url_slug: x" in ran(capsys, "export", *few, *stated)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["export", *RUN], 2, "it is not said for which library"),
        (["export", *RUN, "--to", "tensorflow"], 2, "is not one of"),
        (
            ["export", *RUN, "--to", "opacus", "--state", "a=b"],
            2,
            "--state is for --to registry, an entry of the public registry of DP deployments",
        ),
        (
            ["export", *RUN, "--to", "opacus", "--delta", "1e-5"],
            2,
            "--delta is for --to registry, an entry of the public registry of DP deployments",
        ),
        (
            ["export", *RUN, "--to", "opacus", "--delta", "1e-5"],
            2,
            "and get_epsilon(delta=...) asks for it later. Leave",
        ),
        (
            ["export", *RUN, "--to", "dp-accounting", "--delta", "0"],
            2,
            "get_epsilon(target_delta=...) of an accountant",
        ),
        (["export", *RUN, "--to", "jax-privacy", "--delta", "1e-5"], 2, "a configuration with its noise holds none"),
        (["export", *RUN, "--to", "opacus", "--adjacency", "replace-one"], 3, "replace-one"),
        (["export", *RUN, "--to", "dp-accounting", "--sampling", "shuffle"], 3, "gaussian with"),
        (["export", "none.yaml", "--to", "opacus"], 2, "no such file"),
    ],
)
def test_calls_that_make_no_sense(capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str) -> None:
    assert said in " ".join(ran(capsys, *words, code=code).split())


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("event.json", b'{"class_name": "os.system"}', "class_name=system is no event"),
        ("twice.json", GAUSSIAN.replace(b"}", b', "noise_multiplier": 9}'), "the key noise_multiplier is given twice"),
        ("config2.json", BANDMF % b'"iterations": 3', "the key iterations is given twice"),
        (
            "state2.json",
            b'{"accountant_state": {"history": [[1, 0.1, 9]], "history": [[9, 0.1, 9]]}}',
            "the key history is given twice",
        ),
        ("bare2.json", b'{"history": [[1, 0.1, 9]], "history": [[9, 0.1, 9]]}', "gives a key twice, of history."),
        ("config.json", b'{"iterations": 3, "strategy": []}', "is not a list of numbers"),
        ("state.pkl", b"cos\nsystem\n(S'true'\ntR.", "nothing that a file names is loaded"),
        ("state.pt", b"nothing", "is no checkpoint"),
        ("none.json", b'{"accountant_state": {"history": []}}', "its history is empty, so that nothing was spent"),
        ("none.pkl", pickle.dumps({"history": [], "mechanism": "rdp"}), "its history is empty"),
        ("no.json", b'{"history": [], "mechanism": "rdp"}', "has no phases"),
        (
            "state.json",
            b'{"accountant_state": {"history": [[1, 2]]}}',
            "is not noise multiplier, sample rate and steps",
        ),
        (
            "other.json",
            b'{"accountant_state": {"history": [["a", 0.1, 3]]}}',
            "has a noise multiplier that is no number",
        ),
        ("row.json", b'{"accountant_state": {"history": [1, 2]}}', "row 1 of its history is not noise multiplier"),
        ("often.json", BANDMF % b'"expected_participations": "many"', "expected_participations=many is not a positive"),
        ("n.json", BANDMF % b'"num_examples": [1]', "num_examples=[1] is not a whole number"),
        ("key.json", BANDMF % (b'"' + 3000 * b"a" + b'": 1'), "(3000 characters) is no field"),
        ("nested.json", 30 * REPEATED + GAUSSIAN + 30 * b"}", "is more than 1e+18"),
        (
            "trees.json",
            REPEATED.replace(299 * b"0", 6 * b"0")
            + b'{"class_name": "SingleEpochTreeAggregationDpEvent", "noise_multiplier": 3, "step_counts": [1'
            + 5000 * b", 1"
            + b"]}}",
            "more than 10000 parts",
        ),
        ("wide.json", GAUSSIAN.replace(b"3", b"[" + 5000 * b"1, " + b"1]"), "characters) is not a number"),
        (
            "bomb.pkl",
            pickle.dumps({"history": [[1.1, 0.1, nested(60)]], "mechanism": "rdp"}),
            "a steps that is no number",
        ),
        ("of.pkl", pickle.dumps({"history": [3], "mechanism": nested(60)}), "row 1 of its history is not"),
        ("long.pkl", pickle.dumps({"history": [[1.1, 0.1, 10**5000]]}), "steps=1e5000 or more"),
    ],
)
def test_files_that_are_wrong_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, raw: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(raw)
    told = ran(capsys, "epsilon", "--spent", file, *RUN, "--delta", "1e-6", code=2)
    assert said in " ".join(told.split())


def test_what_is_written_is_one_json_object() -> None:
    from dpplan.plan import Plan

    assert set(json.loads(export.text("opacus", Plan.from_rate(1.0, 0.1, 3)))) == {
        "accountant_state", "make_private", "rounding",
    }  # fmt: skip


def test_json_wraps_the_same_text_with_its_plan(capsys: pytest.CaptureFixture[str]) -> None:
    text = ran(capsys, "export", "--to", "opacus", *RUN)
    content = json.loads(ran(capsys, "export", "--to", "opacus", *RUN, "--json"))
    assert (content["schema"], content["to"], content["text"]) == ("dpplan.export/1", "opacus", text)
    assert content["holds"] == json.loads(text) and content["plan"]["noise_multiplier"] == 1.1


def test_what_opacus_has_no_words_for_is_no_training_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cost of a banded run is that of sampled Gaussians, from which nobody may train."""
    noise = "mechanism: {kind: toeplitz, bands: 4, noise_multiplier: 3}"
    turns = "sampling: {kind: cyclic-poisson, sample_rate: 0.2, groups: 4, assignment: place}, steps: 40"
    (tmp_path / "tied.yaml").write_text(f"adjacency: zero-out\nphases: [{{{noise}, {turns}}}]\n", encoding="utf-8")
    assert program.run(["export", str(tmp_path / "tied.yaml"), "--to", "opacus"]) == 0
    out, err = capsys.readouterr()
    content = json.loads(out)
    assert set(content) == {"accountant_state", "not_carried"} and "make_private" not in content
    for told in (content["not_carried"], " ".join(err.split())):
        assert "noise that steps share (toeplitz) and how batches are drawn (cyclic-poisson)" in told
    (tmp_path / "tied.json").write_text(out, encoding="utf-8")
    same = epsilon(capsys, "--phases", tmp_path / "tied.json", "--adjacency", "zero-out")
    assert same == pytest.approx(epsilon(capsys, tmp_path / "tied.yaml"), rel=1e-9)
