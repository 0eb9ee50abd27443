#!/usr/bin/env bash
# redis-py's client-side cache and Valkey.
# Guess: a client that asks for "7.4 or later" takes a server of release 9.1, which speaks CLIENT TRACKING as Redis does.
# Seen (redis-py 7.4.1, Valkey 9.1.2): it refuses. Valkey answers 7.2.4 in INFO's `redis_version` for every release, for compatibility, and its own number in
# HELLO's `version` and in `valkey_version`. One server says two versions of itself, and a check for features by the usual field takes the wrong one.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/three_servers.bash" redis==7.4.1
probe <<'PY'
from client import *
import redis
from redis.cache import CacheConfig
for name, port in servers():
    if name == "redis-6.2":
        continue
    plain = Client(port)
    hello = plain("HELLO", "3")
    hello = dict(zip(hello[::2], hello[1::2])) if isinstance(hello, list) else hello
    fields = dict(line.split(":", 1) for line in plain("INFO", "server").splitlines() if ":" in line)
    try:
        redis.Redis(port=port, protocol=3, cache_config=CacheConfig()).get("k")
        outcome = "caches"
    except redis.ConnectionError as error:
        outcome = "refuses"
        print(error)
    valkey = name == "valkey-9.1"
    expect(f"{name}: redis_version", fields["redis_version"], "7.2.4" if valkey else "8.2.3")
    expect(f"{name}: valkey_version", fields.get("valkey_version"), "9.1.2" if valkey else None)
    expect(f"{name}: HELLO's version", hello["version"], "9.1.2" if valkey else "8.2.3")
    expect(f"{name}: redis-py", outcome, "refuses" if valkey else "caches")
finish()
PY
