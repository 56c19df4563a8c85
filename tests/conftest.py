"""What every test shares: how long property tests look."""

import os

from hypothesis import settings

# A slow machine is no failure of a property, so examples have no deadline of their own.
settings.register_profile("usual", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=15)  # of the fast loop
EXAMPLES = 10_000  # of `make fuzz`
LONG = int(os.environ.get("FUZZ_EXAMPLES", EXAMPLES))
settings.register_profile("long", deadline=None, max_examples=LONG)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))
