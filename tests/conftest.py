"""Settings that every test shares."""

import sys
from pathlib import Path

HERE = Path(__file__).parent

# Test folders are no packages; what several files of one folder share is imported by its name.
for folder in ("adapter/model", "adapter/intake"):
    sys.path.insert(0, str(HERE / folder))
