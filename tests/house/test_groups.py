"""Tests that share a stack run in one worker: a group that falls apart starts its stack once in each."""

import pytest


@pytest.mark.xdist_group("house")
def test_a_group_is_told_to_the_scheduler(request: pytest.FixtureRequest) -> None:
    """Under `--dist loadgroup` the id that the scheduler sees names the group of a test."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("no groups without several workers")
    assert request.node.nodeid.endswith("@house")
