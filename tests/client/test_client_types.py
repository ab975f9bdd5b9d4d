"""Type checkers infer arguments and results of both clients, although each call is written once."""

import json
import sys
from pathlib import Path
from subprocess import run

REPOSITORY = Path(__file__).resolve().parents[2]


def test_pyright_knows_results_and_mistakes(tmp_path: Path) -> None:
    sample = tmp_path / "typed_sample.py"
    sample.write_text(Path(__file__).with_name(sample.name).read_text())
    config = {
        "include": ["typed_sample.py"],
        "extraPaths": [str(REPOSITORY / "client"), str(REPOSITORY / "schemas")],
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    pyright = Path(sys.executable).with_name("pyright")
    command = [pyright, "-p", tmp_path, "--pythonpath", sys.executable, "--outputjson"]
    done = run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    assert [item["message"] for item in report["generalDiagnostics"]] == []
