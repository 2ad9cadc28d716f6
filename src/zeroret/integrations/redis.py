"""redis: commands are judged as connections pack them, alone, in pipelines and in transactions."""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from zeroret.content.destinations import Store
from zeroret.guards.stores import PATCHES, is_judged, judge

READS: Final = frozenset(
    """
    AUTH BITCOUNT BITFIELD_RO BITPOS BLMPOP BLPOP BRPOP BZMPOP BZPOPMAX BZPOPMIN CLIENT CLUSTER
    COMMAND CONFIG DBSIZE DEL DISCARD DUMP ECHO EVALSHA_RO EVAL_RO EXEC EXISTS EXPIRE EXPIREAT
    EXPIRETIME FCALL_RO GEODIST GEOHASH GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GET
    GETBIT GETDEL GETEX GETRANGE HDEL HELLO HEXISTS HGET HGETALL HKEYS HLEN HMGET HRANDFIELD HSCAN
    HSTRLEN HVALS INFO KEYS LASTSAVE LCS LINDEX LLEN LMPOP LPOP LPOS LRANGE LREM LTRIM MEMORY MGET
    MODULE MONITOR MULTI OBJECT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFCOUNT PING PSUBSCRIBE PTTL
    PUBSUB PUNSUBSCRIBE QUIT RANDOMKEY READONLY READWRITE RESET RPOP SCAN SCARD SDIFF SELECT SINTER
    SINTERCARD SISMEMBER SLOWLOG SMEMBERS SMISMEMBER SPOP SRANDMEMBER SREM SSCAN SSUBSCRIBE STRLEN
    SUBSCRIBE SUNION SUNSUBSCRIBE TIME TOUCH TTL TYPE UNLINK UNSUBSCRIBE UNWATCH WAIT WAITAOF WATCH
    XACK XDEL XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XTRIM ZCARD ZCOUNT ZDIFF ZINTER
    ZINTERCARD ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE
    ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX
    ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION
    """.split()  # noqa: SIM905 - a hundred quoted words are harder to read
)
"""Commands that store nothing of their arguments; any other may."""


def watch(module: Any) -> None:
    """Judge the commands of *module* (``redis``), asyncio included."""
    connection = module.connection.AbstractConnection
    PATCHES.replace(connection, "send_command", _sent)
    PATCHES.replace(connection, "pack_command", _sent)
    PATCHES.replace(connection, "pack_commands", _packed)
    PATCHES.replace(module.asyncio.connection.AbstractConnection, "pack_command", _sent)


def _sent(original: Any) -> Any:
    @wraps(original)
    def send(self: Any, *args: Any, **options: Any) -> Any:
        if is_judged():
            _judge(self, args)
        return original(self, *args, **options)

    return send


def _packed(original: Any) -> Any:
    @wraps(original)
    def pack(self: Any, commands: Any) -> Any:
        if is_judged():
            commands = list(commands)
            for command in commands:
                _judge(self, command)
        return original(self, commands)

    return pack


def _judge(connection: Any, command: Any) -> None:
    if not _is_read(command):
        judge(lambda: _store(connection), command)


def _is_read(command: Any) -> bool:
    name = command[0] if command else ""
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return text.partition(" ")[0].upper() in READS


def _store(connection: Any) -> Store:
    database = str(getattr(connection, "db", 0) or 0)
    if getattr(connection, "path", None):
        return Store("redis", database=database)
    return Store("redis", connection.host, connection.port, database)
