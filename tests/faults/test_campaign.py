"""A short campaign; `make campaign` runs a long one."""

import pytest
from campaign import campaign

pytestmark = [pytest.mark.fault, pytest.mark.integration]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_short_campaign_violates_nothing(seed: int) -> None:
    outcome = campaign(seed, seconds=25)
    assert outcome.violations == []
    assert outcome.acknowledged > 100
    assert outcome.disruptions.total() > 1
