"""MLflow in processes of its own: a request that goes wrong there costs one process, and nobody else notices.

Theory of operation::

    gateway process                                    fork server (one)         MLflow processes (a few)
    ┌────────────────────────────┐   control socket   ┌──────────────┐   fork   ┌─────────┐
    │ ProcessEngine              │ ─────────────────▶ │ MLflow,      │ ───────▶ │ serve() │
    │   FairQueue → Pool         │   one socket each  │ loaded once  │          └─────────┘
    └────────────────────────────┘ ◀──────────────────────────────────────────── requests, answers

- The gateway imports no MLflow. It starts the *fork server* (``fork_server.py``), which imports MLflow, migrates its
  tables and then does nothing but fork: a new MLflow process is there in milliseconds, and shares that memory.
- An MLflow process (``serving.py``) answers one request at a time, from a socket that it shares with the gateway
  alone. There is no port and no file.
- The gateway (``pool.py``, ``process.py``) watches each busy process: one that passes its deadline or its memory
  limit is killed and replaced. A thread could not be stopped; a process can.
- ``fair_queue.py`` decides whose request is next: each workspace in turn, none with all of the processes.

States of an MLflow process, as the pool sees it: *starting* (the fork server was asked for it), *idle*, *busy* (it has
a request), *ended* (killed, crashed or retired). A request that takes longer than ``SLOW_SECONDS`` lets another
process be started beside its own, with less of the processor for itself; its process is retired afterwards.

Invariants: the fork server has one thread; a process has one request; whoever dies, the others end with it or replace
it: the fork server and the processes end when their socket closes, and the pool starts a new fork server when that
one ends.
"""
