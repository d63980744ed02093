"""The texts of `--help`: what teaches rather than lists."""

from typing import Final

SUMMARIES: Final = {
    "run": "Runs a scenario: a file, or one of its own (default soak).",
    "validate": "Prints a scenario as it would run, or every mistake in it.",
    "scenarios": "Lists the scenarios that come with stressd.",
    "criteria": "Lists the success criteria: thresholds, what each needs, and why.",
    "report": "Shows a report saved as JSON, or writes it in another form.",
    "compare": "Compares two JSON reports; exit code 1 if something got worse.",
    "selftest": "Has a store tell every lie there is; shows that each is caught.",
    "verify": "Checks a store against what had been acknowledged, after anything.",
}

EXIT_CODES: Final = """\
exit codes:
  0  pass (warnings allowed unless --strict), or a daemon that was told to stop
  1  a criterion failed
  2  usage or scenario error
  3  data violation: something acknowledged was lost, or a read was wrong
  4  inconclusive: too little was measured, or the generator was the bottleneck
  5  workers or the daemon failed
  130, 143  a timed run that SIGINT or SIGTERM interrupted; its report says so"""

ENVIRONMENT: Final = """\
environment:
  Every option has a variable: --log-level has STRESSD_LOG_LEVEL. A switch is 1
  or 0; empty counts as not set. The command line wins over the variable, the
  variable over the scenario. What may be repeated stands one to a line; --set
  and --target-option of the command line come after those of the variable."""

_EXAMPLES: Final = """\
examples:
  stressd --duration 180                    three minutes, then a verdict
  stressd                                   a daemon, until SIGTERM or Ctrl-C
  stressd run acceptance --report out.xml   every criterion, reported to CI
  stressd run max --threads 8 --set content.rows=50    flat out, small frames
  stressd --target my_module:MyStore --duration 3m     a store of your own
  stressd validate my.yaml --rate 200       what would run, or every mistake"""

_SELFTEST: Final = """\
exit codes:
  0  every lie was caught by its right name, and nobody else was accused
  1  one was missed or misnamed, or the store that does not lie was accused
  2  usage error"""

_COMPARE: Final = """\
A line is crossed by a change that is as large and that is surely one: more than
three standard errors, from both runs' timelines. Without --fail-on the median
time of no operation may grow, and the rate may not fall, by a tenth or more.
No verdict may turn to fail, error or violated, and no operation that a line is
about may be missing in B, whatever the lines.

metrics:
  save.p99, read.store.p50, read.cache.max   service time
  save.latency.p99                           from the intended start
  rate, read.rate, save.errors, memory.peak
  save_throughput, cache_speedup, …          criteria in MB/s, movies/s, ×

examples:
  stressd compare main.json branch.json
  stressd compare main.json branch.json --fail-on 'save.p99>+10%'

exit codes:
  0  nothing got worse that was asked about
  1  something did
  2  usage error: no such metric, or a file that is no report
  4  inconclusive: a run is too short to be held to any line"""

# What stands below the options of a command, part by part.
EPILOGS: Final[dict[str, tuple[str, ...]]] = {
    "compare": (_COMPARE, ENVIRONMENT),
    "run": (_EXAMPLES, ENVIRONMENT, EXIT_CODES),
    "validate": (ENVIRONMENT,),
    "selftest": (_SELFTEST, ENVIRONMENT),
    "verify": (ENVIRONMENT, EXIT_CODES),
}


def overview() -> str:
    """Return the text of `stressd --help`."""
    commands = "\n".join(f"  {name:<11}{text}" for name, text in SUMMARIES.items())
    return f"""\
usage: stressd [run] [SCENARIO] [options]
       stressd COMMAND …

Soaks a feature store: pools of processes and threads save and read features
and check every read, for minutes or for months. /metrics shows what happens; a
verdict says whether the store is fast, steady and right.

commands:
{commands}

  Each has its own --help; stressd run --help lists the options of a run.
  --version prints the version.

{_EXAMPLES}

{EXIT_CODES}"""
