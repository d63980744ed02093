"""The command line: composes, nothing imports it. Each command imports what it needs, so that `--help` is quick."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Final

from stressd.errors import ExitCode, StressdError
from stressd.imports import uncollected
from stressd.options import (
    CompareOptions,
    CriteriaOptions,
    Options,
    ReportOptions,
    RunOptions,
    ScenariosOptions,
    SelftestOptions,
    ValidateOptions,
    VerifyOptions,
    parse,
)
from stressd.redaction import redacted


def main() -> None:
    """Run the command that the arguments name, and exit by its outcome."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    try:
        if not sys.platform.startswith("linux"):
            raise StressdError("stressd runs on Linux; elsewhere, run it in a container")  # noqa: TRY301
        options = parse(arguments, os.environ)
        return _COMMANDS[type(options)](options)
    except StressdError as error:
        for line in str(error).splitlines():
            print(f"stressd: {redacted(line)}", file=sys.stderr)
        return int(error.exit_code)
    except BrokenPipeError:  # whoever reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.PASS)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)


def _run(options: RunOptions) -> int:
    with uncollected():
        from stressd import logs  # noqa: PLC0415
        from stressd.console import LiveView  # noqa: PLC0415
        from stressd.node.run import run as run_node  # noqa: PLC0415
        from stressd.node.settings import Ended, Settings  # noqa: PLC0415
        from stressd.observe.server import Listening  # noqa: PLC0415
        from stressd.scenario import Scenario  # noqa: PLC0415
        from stressd.scenario_file import load, resolve  # noqa: PLC0415
        from stressd.verdict.render_text import render_text  # noqa: PLC0415
        from stressd.verdict.report_file import check_report_path  # noqa: PLC0415

    logs.configure(options.logging.format, options.logging.level)
    for path in options.reports:
        check_report_path(path)

    def read() -> Scenario:
        return resolve(load(options.scenario), options.overrides)

    scenario = read()
    with LiveView(quiet=options.quiet) as view:

        def done(ended: Ended) -> None:
            view.close()
            render_text(ended.report, sys.stdout)
            sys.stdout.flush()

        ended = run_node(
            scenario,
            Settings(
                state_path=options.state,
                asked_for=options.asked_for(),
                movies_path=options.movies,
                seed=options.seed,
                processes=options.overrides.processes,
                listening=Listening(
                    options.listen.host, options.listen.port, options.tls_cert, options.tls_key, options.token_file
                ),
                linger_s=options.linger_s,
                reports=options.reports,
                strict=options.strict,
                stop_on_violation=options.stop_on_violation,
                allow_host_faults=options.allow_host_faults,
                reread=read,
                show=view.update,
                say=_say,
                done=done,
            ),
        )
    return ended.exit_code


def _say(text: str) -> None:
    logging.getLogger("stressd").info("%s", text)


def _validate(options: ValidateOptions) -> int:
    from stressd.scenario_file import dump, load, resolve  # noqa: PLC0415
    from stressd.scenario_file.schema import schema_text  # noqa: PLC0415

    sys.stdout.write(schema_text() if options.schema else dump(resolve(load(options.scenario), options.overrides)))
    return int(ExitCode.PASS)


def _scenarios(_options: ScenariosOptions) -> int:
    from stressd.scenario_file import builtins  # noqa: PLC0415

    for builtin in builtins():
        print(f"{builtin.name:<12} {builtin.description}")
    return int(ExitCode.PASS)


def _criteria(_options: CriteriaOptions) -> int:
    from stressd.verdict.render_criteria import print_criteria  # noqa: PLC0415

    print_criteria()
    return int(ExitCode.PASS)


def _report(options: ReportOptions) -> int:
    from stressd.verdict.render_text import render_text  # noqa: PLC0415
    from stressd.verdict.report_file import (  # noqa: PLC0415
        check_report_path,
        load_report,
        render_report,
        write_report,
    )

    for path in options.reports:
        check_report_path(path)
    report = load_report(options.file)
    for path in options.reports:
        write_report(report, path)
    if options.format == "text" or not (options.format or options.reports):
        render_text(report, sys.stdout)
    elif options.format:
        sys.stdout.buffer.write(render_report(report, options.format).encode())  # as in a file: some declare UTF-8
    return int(ExitCode.PASS)


def _compare(options: CompareOptions) -> int:
    from stressd.verdict.compare import compare, parse_line  # noqa: PLC0415
    from stressd.verdict.render_comparison import render_comparison  # noqa: PLC0415
    from stressd.verdict.report_file import load_report  # noqa: PLC0415

    lines = [parse_line(text) for text in options.fail_on]
    found = compare(load_report(options.before), load_report(options.after), lines)
    render_comparison(found, sys.stdout, as_json=options.json)
    return int(ExitCode.FAIL if found.regressions else ExitCode.INCONCLUSIVE if found.inconclusive else ExitCode.PASS)


def _selftest(options: SelftestOptions) -> int:
    with uncollected():
        import stressd.node.run  # noqa: F401, PLC0415 - once, here, and not in each of the runs that are forked off
        from stressd.selftest.command import selftest  # noqa: PLC0415

    return selftest(run, seed=options.seed, long=options.long, only=options.only, as_json=options.json)


def _verify(options: VerifyOptions) -> int:
    with uncollected():
        from stressd import logs  # noqa: PLC0415
        from stressd.errors import UsageError  # noqa: PLC0415
        from stressd.node.state import StateFolder  # noqa: PLC0415
        from stressd.node.verify import check_everything  # noqa: PLC0415

    logs.configure(options.logging.format, options.logging.level)
    state = StateFolder.open(options.state, create=False)
    try:
        record = state.read_record()
        if record is None or not record.stores or record.one_process or not record.lanes:
            raise UsageError(f"{state.path}: the last run left nothing that could be verified")
        checked = check_everything(state, record, resolve=False)
    finally:
        state.close()
    print(f"run {record.run_id}: scenario {record.scenario['name']}, target {record.target}, seed {record.seed}")
    for line in checked.lines():
        print(line)
    print("violated" if checked.violations else "verified: everything that was acknowledged is there")
    return int(ExitCode.VIOLATION if checked.violations else ExitCode.PASS)


_COMMANDS: Final[dict[type[Options], Callable[..., int]]] = {
    RunOptions: _run,
    ValidateOptions: _validate,
    ScenariosOptions: _scenarios,
    CriteriaOptions: _criteria,
    ReportOptions: _report,
    CompareOptions: _compare,
    SelftestOptions: _selftest,
    VerifyOptions: _verify,
}
