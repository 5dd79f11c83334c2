"""The gate: what is refused before the first step, what is only said, and nothing is downloaded for it."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import nerf2mesh
from nerf2mesh import fit, load_config
from nerf2mesh.cli import main
from nerf2mesh.lora.io.manifest import Manifest, Source
from nerf2mesh.lora.train.style import StyleTrainConfig, train_style
from nerf2mesh.priors.foundation.zoo import MODEL_ZOO
from nerf2mesh.rights import USES, Material, check, judged
from nerf2mesh.run.provenance_command import main as provenance_command
from nerf2mesh.run.rights import pass_gate, run_materials
from tests.lora.test_style import line, write

FORBIDDEN = {
    "commercial": {"flux-dev", "deepfloyd-if-xl", "deepfloyd-if-m", "zero123", "stable-zero123"},
    "research": set(),
    "personal": {"deepfloyd-if-xl", "deepfloyd-if-m", "zero123"},
}
"""As the licences' own texts have it."""


def adapter(path: Path, licence: str, *sources: str) -> Path:
    """A LoRA file whose manifest states these licences."""
    found = [Source(source="a giver", licence=text, sha256="00") for text in sources]
    manifest = Manifest(title=path.stem, base="builtin", licence=licence, sources=found)
    save_file({"x": torch.zeros(1)}, path, metadata={"nerf2mesh": manifest.to_json()})
    return path


@pytest.mark.parametrize("use", USES)
def test_every_known_prior_under_every_use(use: str) -> None:
    assert len(MODEL_ZOO) == 17
    refused, composed = set(), load_config([f"use={use}", "input.prompt=a cup"])
    for name in MODEL_ZOO:
        try:
            pass_gate(replace(composed, prior=replace(composed.prior, name=name)))
        except ValueError as error:
            refused.add(name)
            assert str(error).startswith("prior.name: expected") and re.search("section|intended for", str(error))
    assert refused == FORBIDDEN[use]


def test_the_line_names_the_clause_and_its_source() -> None:
    with pytest.raises(ValueError, match=r"sections 2\(b\), 4\(a\).*github\.com/black-forest-labs/flux") as error:
        pass_gate(load_config(["prior=flux-dev", "use=commercial", "input.prompt=a cup"]))
    assert "\n" not in str(error.value) and "use=commercial" in str(error.value)


def test_an_adapter_or_its_training_data_that_forbids_the_use_ends_the_run(tmp_path: Path) -> None:
    own, of_data = (
        adapter(tmp_path / "a.safetensors", "CC BY-NC 4.0"),
        adapter(tmp_path / "b.safetensors", "MIT", "CC0"),
    )
    barred = adapter(tmp_path / "c.safetensors", "MIT", "CC0-1.0", "CC-BY-NC-SA-4.0")
    for path in (own, barred):
        config = load_config(["use=commercial", f"lora.adapters=[{path}]"])
        with pytest.raises(ValueError, match=r"lora\.adapters\[0\]: .*section 2\(a\)\(1\): granted for NonCommercial"):
            pass_gate(config)
        assert not any("adapter" in line for line in pass_gate(replace(config, use="research")).notices)
    pass_gate(load_config(["use=commercial", f"lora.adapters=[{of_data}]"]))


def test_the_command_ends_with_one_line_and_exit_code_2_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    path = adapter(tmp_path / "a.safetensors", "CC-BY-NC-4.0")
    out, picture = tmp_path / "run", Path(nerf2mesh.__file__).parent / "assets/demo/duck.png"
    settings = ["preset=tiny", "use=commercial", f"lora=[{path}]", f"input.image={picture}", f"output_dir={out}"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["nerf2mesh", *settings])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2 and not out.exists()
    (said,) = capfd.readouterr().err.splitlines()
    assert "NonCommercial purposes only" in said and "creativecommons.org/licenses/by-nc/4.0" in said


def test_the_input_is_asked_too_and_unknown_licences_are_named() -> None:
    about = ["input.image=cup.png", "use=commercial"]
    with pytest.raises(ValueError, match=r"input\.licence: .*CC BY-ND|input\.licence: .*Creative Commons BY-ND 4\.0"):
        pass_gate(load_config([*about, "input.licence=CC-BY-ND-4.0"]))
    (said,) = pass_gate(load_config([*about, "input.licence='a friend said yes'"])).notices
    assert "input cup.png" in said and "a friend said yes" in said
    (said,) = pass_gate(load_config(about)).notices
    assert "no licence was stated" in said
    assert pass_gate(load_config([*about, "input.licence=own"])).notices == []


def test_without_a_use_nothing_is_refused_and_what_would_be_is_one_notice(tmp_path: Path) -> None:
    path = adapter(tmp_path / "a.safetensors", "CC-BY-NC-4.0")
    (said,) = pass_gate(load_config(["prior=flux-dev", "input.prompt=a cup", f"lora.adapters=[{path}]"])).notices
    assert all(word in said for word in ("use is not set", "flux-dev", "adapter a", "commercial"))
    assert pass_gate(load_config(["input.image=cup.png"])).notices == []


def test_the_built_in_prior_lists_whose_models_it_was_trained_on() -> None:
    found = run_materials(load_config(["input.image=cup.png"]))
    trained = [material for material in found if material.what == "training data of prior"]
    assert len(trained) > 20 and {"Quaternius", "Mike Judge, Mini Mike's Metro Minis"} <= {m.credit for m in trained}
    assert all(judged(material.licence, "commercial").word != "no" for material in found)


def test_what_a_stranger_states_stays_one_printable_line() -> None:
    nasty = Material("adapter", "a\x1b[2J\nb" * 50, "evil\nlicence\x07 ]0;", "lora.adapters[0]")
    (said,) = check([nasty], "commercial")
    assert said.isprintable() and len(said) < 600
    with pytest.raises(ValueError) as error:
        check([replace(nasty, licence="CC-BY-NC-4.0")], "commercial")
    assert str(error.value).isprintable()


@pytest.mark.parametrize("header", ["[]", "{", '{"licence": 3, "sources": "x"}', '{"sources": [1, {"licence": null}]}'])
def test_damaged_manifests_count_as_nothing_stated(header: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": torch.zeros(1)}, path, metadata={"nerf2mesh": header})
    found = run_materials(load_config([f"lora.adapters=[{path}]", "input.image=c.png"]))
    assert [m.licence for m in found if m.what == "adapter"] == [""]


def test_fit_passes_the_gate_before_it_reads_the_picture(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all rights reserved"):
        fit(tmp_path / "missing.png", overrides=["use=personal", "input.licence='All rights reserved'"])


def test_training_on_pictures_that_forbid_the_use_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data, [line(data, i, (200, 40, 30), licence=text) for i, text in enumerate(("CC0-1.0", "CC-BY-NC-4.0"))])
    config = StyleTrainConfig(data=str(data), output_dir=str(tmp_path / "out"), use="commercial", quiet=True)
    with pytest.raises(ValueError, match=r"data: .*1 pictures.*NonCommercial purposes only"):
        train_style(config)
    assert not (tmp_path / "out").exists()


def test_the_docs_have_the_table_that_the_command_prints(capsys: pytest.CaptureFixture) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/provenance.md").read_text(encoding="utf-8")
    for arguments in (["gate"], ["gate", "--licenses"]):
        assert provenance_command(arguments) == 0
        printed = capsys.readouterr().out
        assert printed in page and len(printed.splitlines()) > 19
