import pytest

from stressd.render.promql import names_in, scoped, selectors_in

A = 'job=~"$job", instance=~"$instance"'


@pytest.mark.parametrize(
    ("expression", "narrowed"),
    [
        ("stressd_workers", f"stressd_workers{{{A}}}"),
        ('stressd_workers{state="running"}', f'stressd_workers{{{A}, state="running"}}'),
        ("rate(stressd_rows_total[5m])", f"rate(stressd_rows_total{{{A}}}[5m])"),
        ("stressd:tree_memory_bytes > 0", f"stressd:tree_memory_bytes{{{A}}} > 0"),
        # A label that is called as a metric is, inside braces and in a list of labels.
        ('stressd_state{stressd_state="running"}', f'stressd_state{{{A}, stressd_state="running"}}'),
        ("sum by (stressd_state) (stressd_state)", f"sum by (stressd_state) (stressd_state{{{A}}})"),
        ('up{job="stressd"} == 0', f"up{{{A}}} == 0"),
        ('process_open_fds / process_max_fds{job="stressd"}', f"process_open_fds{{{A}}} / process_max_fds{{{A}}}"),
        (
            'a * on (job) group_left (up) ALERTS{alertstate="firing", x!~"a|b"}',
            f'a * on (job) group_left (up) ALERTS{{{A}, alertstate="firing", x!~"a|b"}}',
        ),
        ("group(stressd_x) + setup + backup_up", f"group(stressd_x{{{A}}}) + setup + backup_up"),
    ],
)
def test_every_selector_is_narrowed_and_nothing_else(expression, narrowed):
    assert scoped(expression) == narrowed


def test_the_names_that_an_expression_selects_are_found():
    expression = 'sum by (up) (stressd_x{a="stressd_y"}) / on (job) process_max_fds or stressd:z:rate5m offset 2m'
    assert names_in(expression) == {"stressd_x", "process_max_fds", "stressd:z:rate5m"}
    assert selectors_in("up + up{a='b'}") == ["up", "up{a='b'}"]
