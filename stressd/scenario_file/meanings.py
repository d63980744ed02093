"""What each key of a scenario means, in a line: for the schema that editors read, and for the reference page."""

from collections.abc import Mapping
from typing import Final

from stressd.objectives import Objective
from stressd.parts import Part
from stressd.pools import Keys, Mix, Phase, Pool, PoolChange, Stage
from stressd.scenario import (
    Content,
    Criteria,
    Fault,
    Probes,
    ProbeSettings,
    Scenario,
    Supervision,
    Target,
    Threshold,
    Verification,
)

MEANINGS: Final[Mapping[type[Part], Mapping[str, str]]] = {
    Scenario: {
        "name": "What verdict, report and `stressd_run_info` call it.",
        "description": "A line for people.",
        "duration_s": "How long the load lasts; without it, until told to stop.",
        "warmup_s": "So much of the load is exported, but not judged; a third of the duration at most.",
        "target": "The store that is soaked.",
        "generated_movies": "How many movies are made where no file of real ones is given.",
        "generate_batch": "How many movies one `generate` makes features of.",
        "content": "What a save holds.",
        "keys_per_lane": "How many keys each lane has, and is the only one to save to.",
        "contended_keys": "How many more keys all lanes save to; the target has to number its commits.",
        "pools": "The workers, side by side. Without any, only the probes run.",
        "phases": "Stretches of the load, one after the other, from its begin on.",
        "probes": "Short scripted measurements before and after the load.",
        "probe_settings": "How big the probes are.",
        "faults": "What goes wrong, and when.",
        "verification": "How deep reads are checked.",
        "supervision": "When a worker counts as hung, how long a drain may take, how soon a replacement comes.",
        "criteria": "What the run is judged by.",
        "slo": "Objectives of your own, which the run is judged by as well.",
    },
    Target: {
        "name": "`embedded`, `memory`, `noop`, or `module:factory` of your own.",
        "options": "Keyword arguments of its factory. `${NAME}` is the environment's, `file:PATH` what a file holds.",
    },
    Content: {
        "kind": "`movies`: features of movies; `random`: columns of random float64 and an `id`.",
        "rows": "Rows of each frame: a number, or two, and each save takes its own between them.",
        "columns": "Columns of a random frame.",
        "names": "The frames of a group: feature groups of movies, or for random frames any names, or how many.",
    },
    Pool: {
        "name": "What metrics and report call it.",
        "processes": "Worker processes.",
        "threads": "Threads in each process; each is a lane, with a session and keys of its own.",
        "rate": "Operations that start each second, over the whole pool (open model). Without it, one after the other.",
        "arrival": "With a rate: evenly spaced, or at random as in a Poisson process.",
        "think_time_s": "Without a rate: the pause after each operation.",
        "stages": "Ramps, one after the other: of the rate, from `rate` on; without a rate, of the lanes at work.",
        "max_late_s": "With a rate: a start that is later than this is dropped, counted, and its wait is charged.",
        "keys": "Which keys reads take.",
        "mix": "How often each operation is drawn.",
    },
    Mix: {
        "generate": "Make the features of a batch of movies; the target is not asked.",
        "save": "Save one of the lane's own keys: all frames of the group as one.",
        "read": "Read a group, from the target's cache where it has one.",
        "read_store": "Read a group round the cache.",
        "scrub": "Read a group round the cache and compare every cell; counted apart from reads.",
    },
    Keys: {
        "distribution": "How reads are spread over the keys that were saved.",
        "theta": "Of `zipfian` and `latest`, where it is 0.99 unless said: the nearer to 1, the hotter the hottest.",
        "hot_keys": "Of `hotspot`, where it is 0.2 unless said: the share of keys that are hot.",
        "hot_reads": "Of `hotspot`, where it is 0.8 unless said: the share of reads that go to them.",
    },
    Stage: {
        "duration_s": "How long the way takes, evenly; 0 is at once.",
        "target": "Where it leads: operations a second where the pool has a rate, else lanes at work.",
    },
    Phase: {
        "name": "What the report calls it.",
        "duration_s": "How long it lasts. The last phase may leave it out, and goes on to the end.",
        "pools": "By name, what is different of the pools meanwhile.",
    },
    PoolChange: {
        "rate": "Another rate; 0 pauses the pool.",
        "think_time_s": "Another pause.",
        "stages": "Ramps that begin with the phase.",
        "mix": "Another mix.",
    },
    Probes: {
        "before": "Those that run before the load, in this order.",
        "after": "Those that run after it.",
    },
    ProbeSettings: {
        "generation_movies": "`generation`: sizes of the batches, the figure is that of the last.",
        "generation_repeats": "`generation`: how often each, for a median.",
        "storage_shapes": "`storage`: rows and payload columns of the frames.",
        "storage_repeats": "`storage`: saves and reads of each shape.",
        "concurrency_threads": "`concurrency`: threads behind the barrier.",
        "concurrency_rounds": "`concurrency`: a save and a read of each thread in each round.",
        "memory_repeats": "`memory`: passes after the first, which sets the level.",
        "memory_movies": "`memory`: movies of a pass.",
        "cache_features": "`cache`: frames that are saved and read again.",
        "cache_rows": "`cache`: rows of each.",
        "cache_rounds": "`cache`: a save, a read from the store and four more reads in each round.",
        "cache_ttl_s": "`cache`: the time to live that is waited out at the end.",
    },
    Fault: {
        "kind": "What is done (docs/faults.md).",
        "at": "When the first one begins: a moment of the load, or a share of its duration.",
        "every_s": "Again each so often.",
        "per_minute": "Or again at random moments, so many a minute on average.",
        "until": "None begins later than this: a moment, or a share of the duration.",
        "duration_s": "How long it lasts: a number, or two, and each is drawn between them.",
        "delay_s": "Of `slow_target`: how much longer each call takes.",
        "recover_s": "How soon after its end service has to be good again.",
    },
    Verification: {
        "cache_every": "Of reads from a cache, one in so many is compared cell by cell; 1 is all.",
        "scribble_every": "One frame in so many is edited after it was read or saved, to see if anybody else holds it.",
    },
    Supervision: {
        "hang_s": "A worker that gives no sign of life for so long is replaced.",
        "drain_s": "How long operations under way may take when the run is told to stop.",
        "backoff_first_s": "How long the first replacement in a row is put off; each further one twice as long.",
        "backoff_most_s": "But no longer than this.",
    },
    Criteria: {
        "omit": "Criteria that the run is not judged by.",
        "thresholds": "By criterion, where its lines are moved to.",
    },
    Objective: {
        "name": "What verdict, report, metrics and alerts call it.",
        "op": "Which operations are held to it.",
        "source": "Of reads: from the cache or from the store; without it, both.",
        "stat": "A quantile of the service times, the share of errors, or operations a second.",
        "window": "It holds in every window of this length; the worst whole one counts.",
        "pass": "Where it passes: a time (10ms), for `error_ratio` a share (1%), for `rate` operations a second.",
        "fail": "Where it fails; what lies between is a warning.",
        "abort_after": "Ends the run where it has failed for so long without a break.",
    },
    Threshold: {
        "pass": "Where it passes, in the criterion's unit.",
        "fail": "Where it fails; what lies between is a warning.",
    },
}
