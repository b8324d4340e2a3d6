"""MLflow in processes of its own: a request that goes wrong there costs one process, and nobody else notices.

Theory of operation::

    gateway process                                       nursery (one)            MLflow processes (a few)
    ┌───────────────────────────┐    control socket      ┌──────────────┐  fork   ┌─────────┐
    │ ProcessEngine             │ ─────────────────────▶ │ MLflow,      │ ──────▶ │ serve() │
    │   FairQueue → Pool → lease│    one socket each     │ loaded once  │         └─────────┘
    └───────────────────────────┘ ◀────────────────────────────────────────────── requests, answers

- The gateway imports no MLflow. It starts the *nursery* (``nursery.py``), which imports MLflow, brings its tables up
  to date and then does nothing but fork: a new MLflow process is there in milliseconds and shares the nursery's memory.
- An MLflow process (``serving.py``) answers one request at a time, from a socket that it shares with the gateway
  alone. There is no port and no file.
- The gateway (``pool.py``, ``process.py``) watches each busy process: one that passes its deadline or its memory
  limit is killed and replaced. A thread could not be stopped; a process can.
- ``fair_queue.py`` decides whose request is next: each workspace in turn, none with all of the processes.

States of an MLflow process, as the pool sees it: *starting* (the nursery was asked for it), *idle*, *busy* (it has a
request), *ended* (killed, crashed or retired). A request that takes longer than ``SLOW_SECONDS`` lets another
process be started beside its own, with less of the processor for itself; its process is retired afterwards.

Invariants: the nursery has one thread; a process has one request; whoever dies, the others end with it or replace it:
the nursery and the processes end when their socket closes, and the pool starts a new nursery when that one ends.
"""
