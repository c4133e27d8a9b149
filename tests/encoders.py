"""Encoders and texts that several test modules share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.config import ModelSettings
from streamrec.embedding import Encoder, load_encoder
from streamrec.errors import ModelError

MULTILINGUAL = (
    "Nike Air Zoom running shoes for men, size 42",
    "Organic whole milk 1 gal",
    "ACME-4000 USB-C to HDMI adapter (4K@60Hz)",
    "Cast iron skillet, pre-seasoned, 10.25 in",
    "Kids' waterproof rain jacket with hood - yellow",
    "Wireless noise-cancelling headphones, 30 h battery",
    "Ground coffee, dark roast, 12 oz",
    "Herren Laufschuhe, atmungsaktiv, Größe 44",
    "Bio-Vollmilch 3,8 % Fett, 1 Liter",
    "Kaffeemaschine mit Mahlwerk und Thermoskanne",
    "Gusseiserne Bratpfanne, eingebrannt, 26 cm",
    "Chaussures de course légères pour femme",
    "Cafetière à piston en verre, 1 litre",
    "Veste imperméable à capuche pour enfant",
    "Fromage de chèvre affiné, 180 g",
    "Zapatillas de correr para hombre, talla 43",
    "Aceite de oliva virgen extra, 750 ml",
    "Sartén antiadherente de 28 centímetros",
    "Auriculares inalámbricos con cancelación de ruido",
    "Scarpe da corsa traspiranti da uomo",
    "Caffè macinato per moka, 250 g",
    "Padella in ghisa già condita",
    "Tênis de corrida masculino leve",
    "Azeite de oliva extravirgem 500 ml",
    "Máquina de café expresso automática",
    "Hardloopschoenen voor dames, maat 39",
    "Volle melk biologisch 1 liter",
    "Buty do biegania męskie, rozmiar 44",
    "Patelnia żeliwna z rączką 26 cm",
    "Кроссовки для бега мужские",
    "Кофемашина автоматическая с капучинатором",
    "Сковорода чугунная с крышкой 28 см",
    "Erkek koşu ayakkabısı, hafif ve nefes alan",
    "Türk kahvesi 250 gr, taze çekilmiş",
    "حذاء رياضي للجري للرجال",
    "قهوة عربية مطحونة مع الهيل",
    "男士透气跑步鞋 轻便减震 42码",
    "有机全脂牛奶 1升装",
    "全自动咖啡机 家用意式 带磨豆功能",
    "诺芝（NOZI）太阳能热水器家用【铝合金支架2.1米】",
    "苹果手机壳 iPhone 15 Pro 透明硅胶防摔保护套",
    "儿童雨衣 男女童 防水连帽 黄色",
    "男士透氣跑步鞋 輕量避震",
    "全自動咖啡機 附磨豆功能",
    "メンズ ランニングシューズ 軽量 27.5cm",
    "ドリップコーヒー 深煎り 10袋入り",
    "鋳鉄製フライパン 26センチ",
    "ワイヤレスイヤホン ノイズキャンセリング対応",
    "남성 런닝화 경량 통기성 270mm",
    "유기농 우유 1리터",
    "무선 노이즈 캔슬링 헤드폰",
    "รองเท้าวิ่งผู้ชาย น้ำหนักเบา",
    "กาแฟคั่วเข้ม 250 กรัม",
    "Pantalon cargo (100% coton) — coupe droite, taille 40–42",
    "3-in-1 Ladegerät für Handy/Uhr/Kopfhörer, 15W",
    'SKU 0042-B: 5/8" hex bolt, zinc, 100/box',
    "½ ㎏ ﬁne ｓｕｇａｒ № 7 ™",
    "Cafe\u0301 cre\u0300me \u1112\u1161\u11ab か\u3099",
    "🎁 gift card 50€ 🎄",
    "  lots \t of   white\u00a0space \u3000 here  ",
)

#: Pairs of texts that mean the same, and one that belongs to none of them.
SAME_MEANING = (
    ("running shoes for men", "sneakers for male runners"),
    ("automatic coffee machine", "espresso maker"),
    ("waterproof rain jacket", "raincoat that keeps you dry"),
)
UNRELATED = "introduction to organic chemistry, third edition"


@cache
def model_cache() -> Path:
    """Return a folder that lives as long as this test process; what is built once serves every test."""
    folder = Path(tempfile.mkdtemp(prefix="streamrec-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def encoder(name: str, precision: str = "float32") -> Encoder:
    """Load an encoder once per process, or skip where its files are not installed, unless skipping is forbidden."""
    settings = ModelSettings.model_validate({"name": name, "precision": precision, "cache_dir": model_cache(), "provider": "cpu"})
    try:
        return load_encoder(settings)
    except ModelError as error:
        if "not installed" in str(error) and not os.environ.get("STREAMREC_REQUIRE_ALL"):
            pytest.skip(str(error))
        raise


def cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each row of the one with the same row of the other."""
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    result: NDArray[np.float32] = np.einsum("ij,ij->i", left, right) / norms
    return result
