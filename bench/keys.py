"""``keys``: whether the time of a refusal reveals anything about the key that was refused."""

from __future__ import annotations

import asyncio
import base64
import itertools
import random
import statistics
import string
import sys
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx2

from bench import peers, processes
from bench.connection import Connection, WrongAnswer
from bench.peers import BasicAuth, Hokusai, Peer, Server
from bench.results import Figure, Ratio, Result
from hokusai.auth import keys

#: Answers of each kind, over all rounds together.
ANSWERS = 2_100
#: MLflow takes about half a second for one password.
PEER_ANSWERS = 140
CONNECTIONS = 4
RESAMPLED = 300
AIM = "0.45–0.55"
TARGET = "/api/2.0/mlflow/registered-models/search"

#: What to send in ``Authorization``, by kind of wrong key.
Wrong = Mapping[str, Callable[[], str]]
Times = dict[str, list[float]]


class Guessed(Hokusai):
    """Hokusai that lets one address guess for as long as it takes; all else is as it comes."""

    def variables(self) -> Mapping[str, str]:
        return {**super().variables(), "HOKUSAI_GUESS_RATE": "100000000/hour"}


def run(rounds: int) -> Result:
    ours, noise = _rounds(Guessed(), _wrong_keys, rounds, ANSWERS)
    theirs, more = _rounds(BasicAuth(workers=2), _wrong_users, rounds, PEER_ANSWERS)
    figures = [
        Figure(f"{kind}, median time", name, "ms", tuple(1000 * statistics.median(turn[kind]) for turn in turns))
        for name, turns in (("hokusai", ours), ("basic-auth", theirs))
        for kind in turns[0]
    ]
    ratios = [_told(ours, one, other, AIM) for one, other in itertools.combinations(ours[0], 2)]
    ratios += [_told(theirs, one, other, "") for one, other in itertools.combinations(theirs[0], 2)]
    notes = (
        "Can somebody who measures the time of an answer tell two kinds of wrong key apart? The value is the area "
        "under the ROC curve: 0.5 is guessing, 0 and 1 are certainty. The interval is its bootstrap interval (95 %).",
        f"At least {ANSWERS - rounds} answers of each kind, in random order, over {CONNECTIONS} keep-alive "
        "connections. `unknown` and `unknown too` are the same kind, so their row is the noise floor. An unknown key "
        "is a new one each time; the revoked and expired ones are among twenty that were valid once.",
        "basic-auth has users and passwords: a user that does not exist, against a wrong password of one that does.",
    )
    return Result(
        "keys", "What the time of a refusal reveals", rounds, tuple(figures), tuple(ratios), notes, (*noise, *more)
    )


def _rounds(
    peer: Peer, wrong: Callable[[Server, Path], Wrong], rounds: int, answers: int
) -> tuple[list[Times], list[float]]:
    peers.prepare([peer])
    with peers.directory() as directory, peers.started(peer, directory) as server:
        server.session.settled()
        kinds = wrong(server, directory)
        asyncio.run(_times(server.base, kinds, 20))  # warms up
        found, noise = [], []
        for _ in range(rounds):
            start, busy, own = time.perf_counter(), processes.busy(), server.session.cpu() + time.process_time()
            found.append(asyncio.run(_times(server.base, kinds, max(2, answers // rounds))))
            own = server.session.cpu() + time.process_time() - own
            noise.append(max(0.0, processes.busy() - busy - own) / (time.perf_counter() - start))
        print(f"  {peer.name} answered", file=sys.stderr, flush=True)
        return found, noise


async def _times(base: str, kinds: Wrong, each: int) -> Times:
    """Seconds per answer, by kind."""
    waiting = [kind for kind in kinds for _ in range(each)]
    random.shuffle(waiting)
    found: Times = {kind: [] for kind in kinds}

    async def client() -> None:
        async with Connection(base, {}) as connection:
            while waiting:
                kind = waiting.pop()
                authorization = kinds[kind]()
                start = time.perf_counter()
                answer = await connection.request("GET", TARGET, authorization=authorization)
                found[kind].append(time.perf_counter() - start)
                if answer.status != 401:
                    raise WrongAnswer(f"{kind}: {answer.status} {answer.body[:300]!r}")

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return found


def _wrong_keys(server: Server, directory: Path) -> Wrong:
    operator = (directory / "data" / "operator.key").read_text().strip()
    with httpx2.Client(base_url=server.base, headers={"X-API-Key": operator}, timeout=60, trust_env=False) as http:
        http.post("/api/v1/workspaces", json={"name": "bench"}).raise_for_status()
        made = [_made(http, expires="1s" if number % 2 else "1d") for number in range(40)]
        revoked, expired = [key for key, _ in made[::2]], [key for key, _ in made[1::2]]
        for _, key_id in made[::2]:
            http.delete(f"/api/v1/keys/{key_id}").raise_for_status()
    time.sleep(1.5)  # until the others have expired
    return {
        "unknown": lambda: "Bearer " + keys.mint("live").text,
        "unknown too": lambda: "Bearer " + keys.mint("live").text,
        "revoked": lambda: "Bearer " + random.choice(revoked),
        "expired": lambda: "Bearer " + random.choice(expired),
        "wrong checksum": lambda: "Bearer " + _mistyped(keys.mint("live").text),
        "malformed": lambda: "Bearer " + "".join(random.choices(string.ascii_letters, k=46)),
    }


def _made(http: httpx2.Client, *, expires: str) -> tuple[str, str]:
    body = {"name": "bench", "workspace": "bench", "permissions": ["read"], "expires": expires}
    made = http.post("/api/v1/keys", json=body).raise_for_status().json()
    return made["key"], made["key_id"]


def _mistyped(key: str) -> str:
    return key[:-1] + ("a" if key[-1] != "a" else "b")


def _wrong_users(server: Server, directory: Path) -> Wrong:
    BasicAuth().headers(server, directory)  # makes the user "trainer"
    return {
        "unknown user": lambda: _basic("".join(random.choices(string.ascii_lowercase, k=7))),
        "wrong password": lambda: _basic("trainer"),
    }


def _basic(user: str) -> str:
    password = "".join(random.choices(string.ascii_letters, k=22))
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _told(turns: Sequence[Times], one: str, other: str, aim: str) -> Ratio:
    """The area under the curve, between the ends of its interval."""
    first, second = (sorted(itertools.chain.from_iterable(turn[kind] for turn in turns)) for kind in (one, other))
    again = sorted(
        auc(sorted(random.choices(first, k=len(first))), sorted(random.choices(second, k=len(second))))
        for _ in range(RESAMPLED)
    )
    low, high = again[int(0.025 * RESAMPLED)], again[int(0.975 * RESAMPLED)]
    peer = "guessing" if aim else "basic-auth"
    return Ratio(f"{one} or {other}", peer, tuple(sorted((low, auc(first, second), high))), aim, "")


def auc(first: Sequence[float], second: Sequence[float]) -> float:
    """How often a value of ``first`` is below one of ``second``, both sorted; ties count half (Mann–Whitney's U)."""
    above = sum(2 * len(second) - bisect_left(second, one) - bisect_right(second, one) for one in first)
    return above / (2 * len(first) * len(second))
