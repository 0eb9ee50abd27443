#!/usr/bin/env bash
# Client-side caching and consumer groups.
# Guess: XPENDING and XINFO GROUPS are reads of the stream's key, so a change of what they return is told, as for every other read.
# Seen (Redis 6.2.14 and 8.2.3, Valkey 9.1.2): the reads are tracked (XADD is told), but XGROUP CREATE, XREADGROUP, XCLAIM and XACK change what they
# return and tell nobody. A cached XPENDING shows acknowledged entries as pending without end.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/three_servers.bash"
probe <<'PY'
from client import *
for name, port in servers():
    writer = Client(port)

    def told(read, change):
        reader = Client(port)
        reader("CLIENT", "TRACKING", "ON")
        before = reader(*read)
        assert not isinstance(before, hiredis.ReplyError), before
        answer = writer(*change)
        assert not isinstance(answer, hiredis.ReplyError), answer
        pushed = bool(reader.pushes())
        return pushed, reader(*read) != before

    groups, pending = ("XINFO", "GROUPS", "s"), ("XPENDING", "s", "g")
    writer("XADD", "s", "1-1", "a", "1")
    expect(f"{name}: XGROUP CREATE (told, changed)", told(groups, ("XGROUP", "CREATE", "s", "g", "0")), (False, True))
    expect(f"{name}: XREADGROUP (told, changed)", told(pending, ("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")), (False, True))
    expect(f"{name}: XCLAIM (told, changed)", told(pending, ("XCLAIM", "s", "g", "d", "0", "1-1")), (False, True))
    expect(f"{name}: XACK (told, changed)", told(pending, ("XACK", "s", "g", "1-1")), (False, True))
    expect(f"{name}: XADD (told)", told(groups, ("XADD", "s", "2-1", "a", "1"))[0], True)
finish()
PY
