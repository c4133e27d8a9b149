"""Which broker the tests run on: the embedded one, or a real Apache Kafka with STREAMREC_TEST_BROKER=apache (`make test-kafka`)."""

from __future__ import annotations

import os
from typing import Final, Literal

KIND: Final[Literal["embedded", "apache"]] = "apache" if os.environ.get("STREAMREC_TEST_BROKER") == "apache" else "embedded"
