"""python -m tests.fake_provider PORT BILL"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fake_provider.provider import Provider

Provider(Path(sys.argv[2])).start(int(sys.argv[1])).join()
