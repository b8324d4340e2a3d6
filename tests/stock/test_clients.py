"""Stock MLflow clients, unmodified, each in an environment of its own, against a running server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Server, Team
from tests.stock.environments import Environment, environment, forking, run, scenario

VERSIONS = ["2.9.2", pytest.param("2.22.5", marks=pytest.mark.long), "3.17.2"]


@pytest.fixture(scope="module", params=VERSIONS)
def stock(request: pytest.FixtureRequest) -> Environment:
    return environment(request.param)


@pytest.fixture(scope="module")
def forks(stock: Environment) -> Iterator[str]:
    with forking(stock) as address:
        yield address


@pytest.fixture(scope="module")
def version(stock: Environment) -> str:
    return stock.path.name.split("-")[1]


@pytest.fixture(scope="module")
def team(server: Server, version: str) -> Team:
    return server.workspace("stock-" + version.replace(".", "-"))


@pytest.fixture(scope="module")
def registered(
    server: Server, stock: Environment, forks: str, team: Team, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    return scenario(stock, f"{server.url}/api/mlflow", team.key, tmp_path_factory.mktemp("scenario"), forks)


@pytest.mark.timeout(300)
class TestStock:
    def test_a_model_is_logged_registered_reloaded_and_predicts(self, registered: dict[str, str], version: str) -> None:
        assert registered["mlflow"] == version
        assert registered["missing"] == "RESOURCE_DOES_NOT_EXIST"

    def test_a_refusal_reaches_the_user_with_its_remedy(self, registered: dict[str, str]) -> None:
        assert "models:delete" in registered["refused"]
        assert "Ask the operator" in registered["refused"]

    def test_the_bare_host_and_user_and_password(
        self, server: Server, stock: Environment, forks: str, team: Team, registered: dict[str, str], tmp_path: Path
    ) -> None:
        code = (
            "import mlflow, json;"
            "print(json.dumps(mlflow.sklearn.load_model('models:/größe-model/1').predict([[1, 2, 3]]).tolist()))"
        )
        variables = {
            "MLFLOW_TRACKING_URI": server.url,
            "MLFLOW_TRACKING_USERNAME": "anyone",
            "MLFLOW_TRACKING_PASSWORD": team.key,
        }
        assert json.loads(run(stock, "python", "-c", code, place=tmp_path, server=forks, **variables).splitlines()[-1])

    def test_the_command_line(
        self, server: Server, stock: Environment, forks: str, team: Team, registered: dict[str, str], tmp_path: Path
    ) -> None:
        variables = {"MLFLOW_TRACKING_URI": f"{server.url}/api/mlflow", "MLFLOW_TRACKING_TOKEN": team.key}
        run_id = registered["run_id"]
        listed = run(stock, "mlflow", "artifacts", "list", "-r", run_id, place=tmp_path, server=forks, **variables)
        assert "odd names" in listed
        (tmp_path / "more & more.txt").write_text("more")
        log = ("mlflow", "artifacts", "log-artifact", "-r", run_id, "-l", "more & more.txt")
        run(stock, *log, place=tmp_path, server=forks, **variables)
        download = ("mlflow", "artifacts", "download", "-r", run_id, "-a", "more & more.txt", "-d", "back")
        run(stock, *download, place=tmp_path, server=forks, **variables)
        assert (tmp_path / "back" / "more & more.txt").read_text() == "more"
        searched = run(stock, "mlflow", "experiments", "search", place=tmp_path, server=forks, **variables)
        assert "größe-model" in searched
        (tmp_path / "input.csv").write_text("0,1,2\n1.0,2.0,3.0\n")
        predict = ("mlflow", "models", "predict", "-m", "models:/größe-model-twice/1", "-i", "input.csv", "-t", "csv")
        run(stock, *predict, "--env-manager", "local", "-o", "out.json", place=tmp_path, server=forks, **variables)
        assert "2.0" in (tmp_path / "out.json").read_text()

    def test_who_insists_on_parts_and_presigned_addresses_takes_the_stream(
        self, server: Server, stock: Environment, forks: str, team: Team, tmp_path: Path
    ) -> None:
        """Neither is offered. The refusal is worded so that the client continues without them."""
        (tmp_path / "large.bin").write_bytes(content := os.urandom(3 << 20))
        code = (
            "import mlflow\n"
            "with mlflow.start_run() as run: mlflow.log_artifact('large.bin', 'model')\n"
            "mlflow.artifacts.download_artifacts(f'runs:/{run.info.run_id}/model/large.bin', dst_path='back')"
        )
        variables = {
            "MLFLOW_TRACKING_URI": f"{server.url}/api/mlflow",
            "MLFLOW_TRACKING_TOKEN": team.key,
            "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
            "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
            "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(1 << 20),
        }
        run(stock, "python", "-c", code, place=tmp_path, server=forks, **variables)
        assert (tmp_path / "back" / "large.bin").read_bytes() == content

    def test_a_wrong_key_is_told_at_once(
        self, server: Server, stock: Environment, forks: str, team: Team, tmp_path: Path
    ) -> None:
        wrong = team.key[:-1] + ("a" if team.key[-1] != "a" else "b")
        code = (
            "import mlflow\n"
            "try: mlflow.set_experiment('x')\n"
            "except mlflow.exceptions.MlflowException as error: print(error)"
        )
        variables = {"MLFLOW_TRACKING_URI": f"{server.url}/api/mlflow", "MLFLOW_TRACKING_TOKEN": wrong}
        found = run(stock, "python", "-c", code, place=tmp_path, server=forks, **variables)
        assert "Copy the whole key again" in found
        assert wrong not in found
