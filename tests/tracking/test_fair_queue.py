"""Whose request is next: workspaces in turn, none with every place, and bounds on what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.requests import ClientDisconnect

from hokusai import errors
from hokusai.tracking.processes.fair_queue import FairQueue


class Holder:
    """Enters a queue as workspaces would, and remembers who had a place in which order."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.served: list[str] = []
        self._leave: dict[asyncio.Task[None], asyncio.Event] = {}

    async def enter(self, *workspaces: str) -> list[asyncio.Task[None]]:
        tasks = []
        for workspace in workspaces:
            leave = asyncio.Event()
            task = asyncio.create_task(self._stay(workspace, leave))
            self._leave[task] = leave
            tasks.append(task)
            await asyncio.sleep(0)
        return tasks

    async def leave(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            self._leave[task].set()
            await asyncio.wait({task})
        await asyncio.sleep(0)

    async def _stay(self, workspace: str, leave: asyncio.Event) -> None:
        async with self.queue.place(workspace):
            self.served.append(workspace)
            await leave.wait()


async def test_a_workspace_has_at_most_its_share_and_others_are_served_at_once() -> None:
    holder = Holder(FairQueue(places=3, share=2))
    tasks = await holder.enter("a", "a", "a", "b")
    assert holder.served == ["a", "a", "b"]
    await holder.leave(tasks[0])
    assert holder.served == ["a", "a", "b", "a"]
    await holder.leave(*tasks[1:])


async def test_workspaces_take_turns_whatever_each_has_waiting() -> None:
    holder = Holder(FairQueue(places=1, share=1))
    tasks = await holder.enter("a", "a", "a", "a", "b", "c", "b")
    for task in (tasks[0], tasks[1], tasks[4], tasks[5], tasks[2], tasks[6], tasks[3]):
        await holder.leave(task)
    assert holder.served == ["a", "a", "b", "c", "a", "b", "a"]


async def test_our_own_requests_have_their_turn_too() -> None:
    holder = Holder(FairQueue(places=1, share=1))
    tasks = await holder.enter("a", "", "b")
    for task in tasks:
        await holder.leave(task)
    assert holder.served == ["a", "", "b"]


async def test_a_place_that_is_added_is_given_out_at_once() -> None:
    queue = FairQueue(places=1, share=1)
    holder = Holder(queue)
    tasks = await holder.enter("a", "b")
    assert holder.served == ["a"]
    queue.resize(+1)
    for _ in range(3):
        await asyncio.sleep(0)
    assert holder.served == ["a", "b"]
    await holder.leave(*tasks)


async def test_a_place_that_is_taken_away_is_not_given_out_again() -> None:
    queue = FairQueue(places=2, share=2)
    holder = Holder(queue)
    tasks = await holder.enter("a", "b", "c")
    queue.resize(-1)
    await holder.leave(tasks[0])
    assert holder.served == ["a", "b"]
    await holder.leave(tasks[1], tasks[2])
    assert holder.served == ["a", "b", "c"]


async def test_one_workspace_fills_its_own_queue_alone() -> None:
    holder = Holder(FairQueue(places=1, share=1, waiting=2))
    tasks = await holder.enter("a", "a", "a", "a", "b")
    assert isinstance(tasks[3].exception(), errors.WorkspaceQueueFull)
    await holder.leave(tasks[0], tasks[1], tasks[4], tasks[2])
    assert holder.served == ["a", "a", "b", "a"]


async def test_all_of_them_together_have_a_bound_too() -> None:
    holder = Holder(FairQueue(places=1, share=1, total=2))
    tasks = await holder.enter("a", "b", "c", "d")
    assert isinstance(tasks[3].exception(), errors.Busy)
    await holder.leave(*tasks[:3])


async def test_nobody_waits_for_ever() -> None:
    holder = Holder(queue := FairQueue(places=1, share=1, seconds=0.01))
    first, second = await holder.enter("a", "b")
    await asyncio.wait({second})
    assert isinstance(second.exception(), errors.Busy)
    assert queue.length == 0
    await holder.leave(first)


async def test_who_has_gone_leaves_the_queue() -> None:
    queue = FairQueue(places=1, share=1)
    gone = asyncio.Event()

    async def wait() -> None:
        async with queue.place("b", gone.wait):
            raise AssertionError("it had its turn")

    async with queue.place("a"):
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        assert queue.length == 1
        gone.set()
        await asyncio.wait({waiting})
        assert isinstance(waiting.exception(), ClientDisconnect)
        assert queue.length == 0


@pytest.mark.parametrize("waits", [True, False], ids=["in the queue", "in its place"])
async def test_who_gives_up_leaves_nothing_behind(waits: bool) -> None:
    queue = FairQueue(places=1, share=1)
    holder = Holder(queue)
    first, second, third = await holder.enter("a", "b", "c")
    with _cancelled(second if waits else first):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await holder.leave(*(task for task in (first, second, third) if not task.done()))
    assert holder.served == (["a", "c"] if waits else ["a", "b", "c"])
    assert queue.length == 0
    assert await holder.enter("a", "b")
    assert holder.served[-1] == "a"


@contextmanager
def _cancelled(task: asyncio.Task[None]) -> Iterator[None]:
    task.cancel()
    yield
    assert task.cancelled()
