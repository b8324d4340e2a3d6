"""``make demo``: the whole way, from an empty directory to a registered model that predicts the same.

``python scripts/demo.py NOTE``, where ``bootstrap.py`` left the note of what the environment took.

Starts a server on the embedded default, makes a workspace and a key, trains a real model and
registers it with the stock MLflow client, reloads it in another process, and reports what held and
how long it took. Exits 0 only if all of it held.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.table import Table
from rich.text import Text

ROOT = Path(__file__).parent.parent
HOKUSAI = str(Path(sys.executable).with_name("hokusai"))
STEP_SECONDS = 600  # nothing but a hang takes that long, on however busy a machine
READY = re.compile(r"is ready: (http://\S+)")


class StepFailed(Exception):
    """A step did not hold; the text is what it printed."""


@dataclass
class Step:
    title: str
    evidence: str = ""
    seconds: float = 0.0
    ok: bool = False


class Demo:
    """The steps in their order; each keeps its time and its evidence."""

    def __init__(self, console: Console, data: Path) -> None:
        self.console = console
        self.data = data
        self.steps: list[Step] = []
        self.url = ""
        self.key = ""
        self.registered: dict[str, object] = {}
        self.examined: dict[str, Any] = {}

    def run(self) -> bool:
        with self.step("start the server (SQLite, local disk)") as step:
            server = self.start()
            step.evidence = self.url
        try:
            return self.register_and_reload() and self.stop(server)
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()

    def register_and_reload(self) -> bool:
        parts: list[tuple[str, Callable[[], str]]] = [
            ("create the workspace team-a", self.workspace),
            ("create a key with the permission set write", self.new_key),
            ("train, log and register with stock MLflow", self.train),
            ("reload it in another process and predict the same", self.reload),
            ("a wrong key gets one clear error", self.wrong_key),
            ("every part reports ready", self.ready),
            ("the doctor examines it from outside", self.examine),
        ]
        for title, part in parts:
            with self.step(title) as step:
                step.evidence = part()
        return True

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        step = Step(title)
        self.steps.append(step)
        started = time.perf_counter()
        with self.console.status(title + " …"):
            try:
                yield step
                step.ok = True
            finally:
                step.seconds = time.perf_counter() - started
        self.console.print(f"[green]✓[/] {title} [dim]{step.seconds:.1f} s  {step.evidence}[/]", highlight=False)

    def start(self) -> subprocess.Popen[str]:
        log = (self.data.parent / "server.log").open("w+")
        server = subprocess.Popen(
            [HOKUSAI, "serve", "--data", str(self.data), "--port", "0"],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
        )
        started = time.monotonic()
        while time.monotonic() < started + STEP_SECONDS and server.poll() is None:
            log.seek(0)
            if found := READY.search(log.read()):
                self.url = found[1]
                return server
            time.sleep(0.05)
        server.kill()
        server.wait()
        raise StepFailed(f"the server was not ready after {time.monotonic() - started:.0f} s")

    def stop(self, server: subprocess.Popen[str]) -> bool:
        with self.step("stop the server (SIGTERM)") as step:
            server.terminate()
            code = server.wait(40)
            if code:
                raise StepFailed(f"the server ended with {code}")
            step.evidence = "drained, exit 0"
        return True

    def workspace(self) -> str:
        found = json.loads(self.hokusai("workspaces", "create", "team-a", "--json"))
        return f"workspace {found['name']}"

    def new_key(self) -> str:
        options = ("--workspace", "team-a", "--name", "demo", "--permissions", "write", "--json")
        found = json.loads(self.hokusai("keys", "create", *options))
        self.key = found["key"]
        return f"{found['hint']}… ({found['key_id']})"

    def train(self) -> str:
        self.registered = json.loads(self.python("train_and_register.py").splitlines()[-1])
        return f"models:/{self.registered['model']}/{self.registered['version']}"

    def reload(self) -> str:
        uri = f"models:/{self.registered['model']}/{self.registered['version']}"
        found = json.loads(self.python("reload_and_predict.py", uri).splitlines()[-1])["predictions"]
        if found != self.registered["predictions"]:
            raise StepFailed(f"predicted {found}, and {self.registered['predictions']} before")
        return "predictions: " + ", ".join(f"{value:.2f}" for value in found[:3]) + ", …"

    def wrong_key(self) -> str:
        wrong = self.key[:-1] + ("A" if self.key[-1] != "A" else "B")
        answer = httpx2.get(
            f"{self.url}/api/2.0/mlflow/registered-models/search",
            headers={"Authorization": f"Bearer {wrong}"},
            trust_env=False,
        )
        found = answer.json()
        if answer.status_code != 401 or not found["hokusai"]["remedy"]:
            raise StepFailed(answer.text)
        return f"401 {found['hokusai']['code']}"

    def ready(self) -> str:
        answer = httpx2.get(f"{self.url}/ready", trust_env=False)
        if answer.status_code != 200:
            raise StepFailed(answer.text)
        return ", ".join(answer.json()["checks"])

    def examine(self) -> str:
        operator = (self.data / "operator.key").read_text().strip()
        variables = environment(HOKUSAI_API_KEY=self.key, HOKUSAI_OPERATOR_KEY=operator)
        self.examined = json.loads(run([HOKUSAI, "doctor", self.url, "--json"], variables, accepted=(0, 1)))
        counts = Counter(check["status"] for check in self.examined["checks"])
        said = f"{counts['pass']} checks passed, {counts['fail']} failed, {counts['skip']} had nothing to look at"
        if not self.examined["ok"]:
            raise StepFailed(said)
        return said

    def hokusai(self, *arguments: str) -> str:
        key = (self.data / "operator.key").read_text().strip()
        return run([HOKUSAI, *arguments], environment(HOKUSAI_URL=self.url, HOKUSAI_API_KEY=key))

    def python(self, script: str, *arguments: str) -> str:
        variables = {"MLFLOW_TRACKING_URI": f"{self.url}/api/mlflow", "MLFLOW_TRACKING_TOKEN": self.key}
        return run([sys.executable, str(ROOT / "examples" / script), *arguments], environment(**variables))

    def report(self) -> None:
        table = Table(title="What happened", title_justify="left", box=None, pad_edge=False, header_style="bold")
        table.add_column("")
        table.add_column("step")
        table.add_column("seconds", justify="right")
        table.add_column("evidence", overflow="fold")
        for step in self.steps:
            mark = "[green]✓[/]" if step.ok else "[red]✗[/]"
            table.add_row(mark, step.title, f"{step.seconds:.1f}", step.evidence)
        self.console.print()
        self.console.print(table)
        self._diagnosis()

    def _diagnosis(self) -> None:
        """What the doctor saw, check by check."""
        table = Table(title="What the doctor saw", title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in ("", "check", "seconds", "seen"):
            table.add_column(column, no_wrap=column != "seen")  # which alone gives way on a narrow terminal
        for check in self.examined.get("checks", ()):
            mark = {"pass": "[green]✓[/]", "fail": "[red]✗[/]"}.get(check["status"], "–")
            seen = Text(check["evidence"] or check["reason"], no_wrap=True, overflow="ellipsis")
            table.add_row(mark, check["title"], f"{check['seconds']:.1f}", seen)
        if table.row_count:
            self.console.print()
            self.console.print(table)


def environment(**more: str) -> dict[str, str]:
    ours = ("HOKUSAI_", "MLFLOW_", "_MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "NO_COLOR": "1", **more}


def run(command: list[str], variables: dict[str, str], accepted: Collection[int] = (0,)) -> str:
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=STEP_SECONDS, check=False)
    if done.returncode not in accepted:
        raise StepFailed(f"{' '.join(command[:3])} … ended with {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def main() -> int:
    console = Console()
    setup = json.loads(Path(sys.argv[1]).read_text())
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hokusai-demo-") as place:
        demo = Demo(console, Path(place) / "data")
        try:
            demo.run()
        except (StepFailed, subprocess.TimeoutExpired, httpx2.HTTPError, KeyError, ValueError) as error:
            console.print(f"[red]✗ {demo.steps[-1].title}[/]", highlight=False)
            console.print(str(error), markup=False, highlight=False)
            log = Path(place) / "server.log"
            if log.exists():
                console.print("the server's log:\n" + log.read_text()[-3000:], markup=False, highlight=False)
        demo.report()
        held = bool(demo.steps) and all(step.ok for step in demo.steps)
    took = time.perf_counter() - started
    console.print(f"\n[bold]{'Everything worked' if held else 'Something failed'}[/] in {took:.0f} s.", highlight=False)
    console.print(
        f"Set-up of {setup['environment']} (Python {setup['python']}), needed once: "
        f"{setup['seconds']:.0f} s, {setup['did']}.",
        highlight=False,
    )
    if held:
        console.print("Next: docs/tutorial.md does the same by hand.", highlight=False)
    return 0 if held else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
