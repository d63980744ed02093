"""The success criteria as a list for people: thresholds, what each needs, and why."""

from stressd.criteria import CRITERIA


def print_criteria() -> None:
    """Print all criteria to stdout."""
    for criterion in CRITERIA:
        needs = ", ".join(ability.replace("_", " ") for ability in criterion.needs) or "nothing"
        print(f"{criterion.name} ({criterion.subject})")
        print(f"  pass {criterion.pass_line} {criterion.unit}, fail {criterion.fail_line} {criterion.unit}")
        print(f"  measures {criterion.measures}")
        print(f"  over {criterion.window}; needs {needs}")
        print(f"  {criterion.why}\n")
