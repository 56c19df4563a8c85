"""The replicas that the adapter asks for are those that the real controller sets."""

from __future__ import annotations

from tests.e2e.followers import Followers
from tests.e2e.scene import Scene

METRIC = "forescale_desired_replicas"


async def test_ten_become_eleven_where_the_tolerance_is_nothing(scene: Scene) -> None:
    """A tenth more is no change to an HPA by itself."""
    scene.llm.busy_percent = 10
    await scene.adapters.install()
    await scene.deploy(hpa=False)
    followers = Followers(scene)
    await followers.annotate({"forescale.dev/target": "gpu=1"})
    await followers.add("follower", METRIC, "1", replicas=9)
    assert await followers.total(METRIC, 10.0) == 10.0
    assert await followers.until("follower", 10) == 10

    scene.llm.busy_percent = 11
    assert await followers.until("follower", 11) == 11
    assert await scene.total(METRIC) == 11.0
