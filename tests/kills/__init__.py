"""``make kills``: a server is killed again and again while clients change things, and nothing may come of it.

Theory of operation. ``clients`` send changes over HTTP, several at a time. Every thing that a change makes different
is a *cell*: the content of one file, the value of one tag, the state of one key. One client alone changes a cell, so
the order of its changes is known. ``journal`` keeps what each cell may hold:

- a change that was acknowledged: exactly what it set;
- one that was refused: what the cell held before;
- one that has had no answer: either of the two, and of all cells of one change the same.

``target`` runs the server, kills one of its processes (or PostgreSQL), and starts it again on the same port and data.
A kill comes at a random moment, or at an aimed one: before or after a function of the product
(``tests/kill_points.py``). Then ``judge`` compares the journal with the tables, the store, the audit trail and the
API. What does not fit is a finding: *lost* (acknowledged and not there), *wrong* (not what anybody set, miscounted,
left over, or only partly there), *unrecorded* (made, and not in the trail) or *late* (not ready again in time).

The directory of an interrupted upload may be left, empty, until the server compares files and records
(``hokusai fsck``, with which a run ends).
"""
