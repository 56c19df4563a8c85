"""The replicas that the adapter asks for are those that the real controller sets."""

from __future__ import annotations

from tests.e2e.followers import Followers
from tests.e2e.scene import Scene

METRIC = "forescale_desired_replicas"


async def test_ten_become_eleven_and_twenty_twenty_two_where_the_tolerance_is_nothing(
    scene: Scene,
) -> None:
    """A tenth more is no change to an HPA by itself.

    The pods that are asked for never start, and nothing is subtracted for them: the controller's
    own division asks for as many as the total needs, and for no more while they are Pending.
    """
    scene.llm.busy_percent = 10
    await scene.adapters.install()
    await scene.deploy(hpa=False)
    followers = Followers(scene)
    await followers.annotate({"forescale.dev/target": "gpu=1"})
    await followers.add("follower", METRIC, "1", replicas=9)
    assert await followers.total(METRIC, 10.0) == 10.0
    assert await followers.until("follower", 10) == 10

    for busy in (11, 20, 22):
        scene.llm.busy_percent = busy
        assert await followers.until("follower", busy) == busy
        assert await scene.total(METRIC) == busy
