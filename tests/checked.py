"""What checks find, as a test looks at it."""

from legato.setup.findings import State


def states(found):
    """Return the state of each subject, in order; one that was looked at twice has the last."""
    return {one.subject: str(one.state) for one in found}


def one(found, subject):
    """Return the only finding of a subject."""
    [finding] = [each for each in found if each.subject == subject]
    return finding


def assert_told(finding, state, *words):
    """What is not ok has a remedy, what is ok has none, and these words are in one of both."""
    assert finding.state == state
    assert bool(finding.remedy) == (state is not State.OK)
    for each in words:
        assert each in f"{finding.text} {finding.remedy}"
