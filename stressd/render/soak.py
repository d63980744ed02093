"""The third dashboard: the store, what checking it costs, and a week of trends."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stressd.criteria import Criterion
from stressd.render.board import board
from stressd.render.panels import Json, Look, Query, dashed, row, stat, steps_of, timeseries

UID: Final = "stressd-store-and-soak"

_HITS: Final = "sum(rate(stressd_cache_hits_total[$__rate_interval]))"
_MISSES: Final = "sum(rate(stressd_cache_misses_total[$__rate_interval]))"
_WEEK: Final[dict[str, Any]] = {"timeFrom": "7d", "hideTimeOverride": False}


def store_and_soak(criteria: Mapping[str, Criterion]) -> Json:
    """Return the dashboard, with the thresholds of these criteria."""
    return board(
        UID,
        "Store and soak",
        "The store's size, its cache, what checking it costs, and a week of trends: does anything creep?",
        [*_store(), *_cache(criteria), *_verification(), *_trends(criteria)],
    )


def _store() -> Iterable[Json]:
    yield row(100, "Store")
    for number, title, text, expression, unit in (
        (1, "Size", "Bytes of the store's files.", "sum(stressd_store_bytes)", "bytes"),
        (2, "Files", "Files of the store.", "sum(stressd_store_files)", "short"),
        (3, "Features", "Features that it serves.", "sum(stressd_store_features)", "short"),
        (4, "Commits", "Commits since the daemon started.", "sum(stressd_store_commits_total)", "short"),
        (5, "Free disk", "Free on the file system of the state folder.", "min(stressd_disk_free_bytes)", "bytes"),
        (6, "Cache", "Bytes that the caches hold, all processes.", "sum(stressd_cache_bytes)", "bytes"),
    ):
        yield stat(number, title, text, [Query(expression)], Look(unit), width=4)
    yield timeseries(
        10,
        "Size and free disk",
        "Bytes of the store's files, and what is free beside them. A soak's store has a lasting size: steps are "
        "commits, falls are collections.",
        [
            Query("sum(stressd_store_bytes)", "store"),
            Query("min(stressd_disk_free_bytes)", "free"),
        ],
        Look("bytes"),
        log=True,
        overrides=[dashed("free")],
    )
    yield timeseries(
        11,
        "Files and features",
        "Files of the store and features that it serves. Files that only rise are not collected.",
        [Query("sum(stressd_store_files)", "files"), Query("sum(stressd_store_features)", "features")],
        Look("short", decimals=0),
    )
    yield timeseries(
        12,
        "Commits and conflicts",
        "Commits each second, and those that another writer was faster with and that were done again.",
        [
            Query("sum(rate(stressd_store_commits_total[$__rate_interval]))", "commits"),
            Query("sum(rate(stressd_store_conflicts_total[$__rate_interval]))", "conflicts"),
        ],
        Look("ops"),
    )
    yield timeseries(
        13,
        "Mean service time",
        "Mean time of an operation from its actual start, over five minutes.",
        [
            Query(
                "sum by (op, source) (rate(stressd_operation_service_seconds_sum[$__rate_interval]))"
                " / (sum by (op, source) (rate(stressd_operation_service_seconds_count[$__rate_interval])) > 0)",
                "{{op}} ({{source}})",
            )
        ],
        Look("s"),
        log=True,
    )


def _cache(criteria: Mapping[str, Criterion]) -> Iterable[Json]:
    yield row(101, "Cache")
    yield timeseries(
        20,
        "Hit rate",
        "Share of reads that the cache answered, of all through it: first reads after a save can only miss. Line: "
        "criterion cache_hit_rate, which counts only reads that a cache could have answered.",
        [Query(f"{_HITS} / ({_HITS} + {_MISSES} > 0)", "hits")],
        Look("percentunit", steps_of(criteria["cache_hit_rate"], 0.01), most=1),
        width=8,
    )
    yield timeseries(
        21,
        "Size",
        "Bytes that the caches hold, all processes.",
        [Query("sum(stressd_cache_bytes)", "cache")],
        Look("bytes"),
        width=8,
    )
    yield timeseries(
        22,
        "Evictions",
        "Entries that the caches gave up each second. Many, and the cache is too small for the load.",
        [Query("sum(rate(stressd_cache_evictions_total[$__rate_interval]))", "evictions")],
        Look("ops"),
        width=8,
    )


def _verification() -> Iterable[Json]:
    spent = "sum(rate(stressd_verification_seconds_total[$__rate_interval]))"
    served = "sum(rate(stressd_operation_service_seconds_sum[$__rate_interval]))"
    yield row(102, "Checking")
    yield timeseries(
        30,
        "Cost by check",
        "Seconds a second spent on checking, by check.",
        [
            Query(
                "sum by (check) (rate(stressd_verification_seconds_total[$__rate_interval]))",
                "{{check}}",
            )
        ],
        Look("none", decimals=3),
        width=8,
        stacked=True,
    )
    yield timeseries(
        31,
        "Cost against the operations",
        "Time spent on checking over the time that the operations took.",
        [Query(f"{spent} / ({served} > 0)", "checking")],
        Look("percentunit"),
        width=8,
    )
    yield timeseries(
        32,
        "Reads checked",
        "Reads whose content was checked, each second.",
        [Query("sum(rate(stressd_reads_verified_total[$__rate_interval]))", "reads")],
        Look("ops"),
        width=8,
    )


def _trends(criteria: Mapping[str, Criterion]) -> Iterable[Json]:
    yield row(103, "A week")
    for number, title, text, query, look in (
        (
            40,
            "Operations",
            "Operations a second by kind, an hour's mean at a time.",
            Query("sum by (op) (stressd:operations:rate1h)", "{{op}}"),
            Look("ops"),
        ),
        (
            41,
            "Slowest hundredth",
            "p99 by operation from the intended start, over an hour at a time. A slope is a store that slows.",
            Query("max by (op) (stressd:operation_latency_seconds:p99_1h)", "{{op}}"),
            Look("s"),
        ),
        (
            42,
            "Mean service time",
            "Mean time by operation and source from the actual start, over an hour at a time.",
            Query("max by (op, source) (stressd:operation_service_seconds:mean1h)", "{{op}} ({{source}})"),
            Look("s"),
        ),
        (
            43,
            "Memory",
            "Memory of all processes, an hour's mean at a time. A slope is a leak.",
            Query("sum(stressd:tree_memory_bytes:avg1h)", "memory"),
            Look("bytes"),
        ),
        (
            44,
            "Store",
            "Bytes of the store's files.",
            Query("sum(stressd_store_bytes)", "store"),
            Look("bytes"),
        ),
        (
            45,
            "Cache hit rate",
            "Share of reads that the cache answered, over an hour at a time.",
            Query("min(stressd:cache_hits:ratio_rate1h)", "hits"),
            Look("percentunit", steps_of(criteria["cache_hit_rate"], 0.01), most=1),
        ),
    ):
        yield timeseries(number, title, text, [query], look, width=8, **_WEEK)
