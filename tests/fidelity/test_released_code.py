"""`tttnn adapt` against the numbers the paper's released code gave on the same documents."""

from __future__ import annotations

import json

import pytest

from tttnn.__main__ import main

RUNS = {
    "as_released": ["--as-released"],
    "fresh_optimizer": [],
    "split_fresh": ["--split"],
    "dynamic_fresh": ["--dynamic"],
}


@pytest.mark.parametrize("run", RUNS)
def test_every_loglikelihood_within_a_thousandth(run, shared, tmp_path):
    folder = shared / "fidelity"
    official = json.loads((folder / "official.json").read_text(encoding="utf-8"))[run]
    wanted = [case["id"] for case in official]
    cases = tmp_path / "cases.jsonl"
    lines = (folder / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases.write_text("\n".join(line for line in lines if json.loads(line)["id"] in wanted))
    output = tmp_path / "ours.json"
    main(
        f"adapt {cases} --model {folder / 'model'} --learning-rate 1e-3 --neighbors 8"
        f" --window 256 --output {output}".split()
        + RUNS[run]
    )
    ours = json.loads(output.read_text(encoding="utf-8"))
    assert [case["id"] for case in ours] == wanted
    for our, their in zip(ours, official, strict=True):
        assert (our["bytes"], our["words"]) == (their["bytes"], their["words"])
        assert our["loglikelihood"] == pytest.approx(their["loglikelihood"], rel=1e-3)
        theirs = [loss if loss == loss else None for loss in their["train_loss"]]
        assert our["train_loss"] == [pytest.approx(loss, rel=1e-3) for loss in theirs]
