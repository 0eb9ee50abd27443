#!/usr/bin/env bash
# Which scripts a server runs whose memory is full.
# Guess: each command of a script is checked, so SET is refused wherever it stands; a script that only reads always runs; a command that reads does, too.
# Seen (Redis 8.2.3, Valkey 9.1.2): the first command that writes decides for the whole script. If that is DEL, of a key that does not exist even, a SET
# after it is done beyond `maxmemory`; if a GET stands there instead, the same SET is refused. A script that only reads runs without `#!lua` and is refused
# with it, unless it says `flags=no-writes`. BITFIELD that only gets is refused, GETEX is not.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/three_servers.bash"
probe <<'PY'
from client import *
for name, port in servers():
    if name == "redis-6.2":
        continue
    client = Client(port)
    client("SET", "k", "1")
    for number in range(300):
        client("SET", f"filler:{number}", "x" * 10_000)
    client("CONFIG", "SET", "maxmemory", "2mb")

    def accepted(*command):
        answer = client(*command)
        if isinstance(answer, hiredis.ReplyError):
            assert "OOM" in str(answer), answer
            return False
        return True

    def script(text):
        return accepted("EVAL", text, "2", "k", "other")

    set_other = 'return redis.call("SET", KEYS[2], "v")'
    expect(f"{name}: SET alone", script(set_other), False)
    expect(f"{name}: GET, then SET", script('redis.call("GET", KEYS[1])' + set_other), False)
    expect(f"{name}: DEL of nothing, then SET", script('redis.call("DEL", "nothing")' + set_other), True)
    expect(f"{name}: GET", script('return redis.call("GET", KEYS[1])'), True)
    expect(f"{name}: GET under #!lua", script('#!lua\nreturn redis.call("GET", KEYS[1])'), False)
    expect(f"{name}: GET under #!lua flags=no-writes", script('#!lua flags=no-writes\nreturn redis.call("GET", KEYS[1])'), True)
    expect(f"{name}: BITFIELD GET", accepted("BITFIELD", "k", "GET", "u8", "0"), False)
    expect(f"{name}: GETEX", accepted("GETEX", "k"), True)
finish()
PY
