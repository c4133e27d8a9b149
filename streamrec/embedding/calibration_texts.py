"""Titles with which the sizes of numbers are measured before a graph is written in int8."""

from __future__ import annotations

import hashlib
from typing import Final

#: Titles of goods of every kind, in the languages that the built-in encoders know.
_TITLES: Final = (
    "Nike Air Zoom Pegasus running shoes for men, black, size 42",
    "organic whole milk 1 gallon",
    "USB-C to HDMI adapter 4K 60Hz, aluminium, space grey",
    "cast iron skillet pre-seasoned 10.25 inch",
    "Women's cotton summer dress with floral print, knee length",
    "HP LaserJet Pro M404dn monochrome printer, duplex, 38 ppm",
    "LEGO Technic excavator 42121, 569 pieces, from 8 years",
    "The Art of Computer Programming, Volume 1, hardcover, 3rd edition",
    "GROCERY SOFT DRINKS SOFT DRINKS 12/18&15PK CAN CAR 12 OZ",
    "5/8 hex bolt zinc plated 100 per box M8x40 DIN 933",
    'Samsung 55" QLED 4K Smart TV QE55Q60B (2022) [Energy Class F]',
    "gift card",
    "shoes",
    "cat food",
    "3M 8210 N95",
    "size M",
    "Acme steel bottle vacuum insulated 750 ml leak proof lid keeps cold 24 hours hot 12 hours for hiking, cycling and school",
    "Herren Laufschuhe, atmungsaktiv, Größe 44, Farbe dunkelblau",
    "Kaffeevollautomat mit Mahlwerk und Milchaufschäumer, 15 bar",
    "Bio-Vollmilch 3,8 % Fett 1 Liter",
    "Gusseiserne Bratpfanne eingebrannt 26 cm",
    "Chaussures de course légères pour femme, pointure 39",
    "Cafetière à piston en verre borosilicate, 1 litre",
    "Fromage de chèvre affiné 180 g, lait entier",
    "Zapatillas de correr para hombre, talla 43, color negro",
    "Aceite de oliva virgen extra, botella de 750 ml",
    "Auriculares inalámbricos con cancelación de ruido y micrófono",
    "Scarpe da corsa traspiranti da uomo, suola in gomma",
    "Caffè macinato per moka, tostatura scura, 250 g",
    "Tênis de corrida masculino leve e confortável",
    "Máquina de café expresso automática 19 bar",
    "Hardloopschoenen voor dames, maat 39, waterdicht",
    "Buty do biegania męskie, rozmiar 44, czarne",
    "Patelnia żeliwna z rączką 26 cm",
    "Кроссовки для бега мужские, лёгкие, размер 43",
    "Кофемашина автоматическая с капучинатором",
    "Erkek koşu ayakkabısı, hafif ve nefes alan taban",
    "Türk kahvesi 250 gr, taze çekilmiş",
    "حذاء رياضي للجري للرجال مقاس 43",
    "قهوة عربية مطحونة مع الهيل 250 جرام",
    "男士透气跑步鞋 轻便减震 网面运动鞋 42码",
    "有机全脂牛奶 1升装 早餐奶 整箱12盒",
    "全自动咖啡机 家用意式 带磨豆功能 一键奶泡",
    "苹果手机壳 iPhone 15 Pro 透明硅胶防摔保护套",
    "儿童雨衣 男女童 防水连帽 黄色 书包位",
    "【正品】美的电饭煲 4L 智能预约 家用多功能 不粘内胆",
    "2024新款韩版宽松连衣裙女夏季中长款雪纺碎花裙",
    "不锈钢保温杯 500ml",
    "男士透氣跑步鞋 輕量避震",
    "全自動咖啡機 附磨豆功能",
    "メンズ ランニングシューズ 軽量 27.5cm ブラック",
    "ドリップコーヒー 深煎り 10袋入り",
    "鋳鉄製フライパン 26センチ IH対応",
    "남성 런닝화 경량 통기성 270mm 블랙",
    "유기농 우유 1리터 무항생제",
    "รองเท้าวิ่งผู้ชาย น้ำหนักเบา",
    "กาแฟคั่วเข้ม 250 กรัม",
    "",
)
#: The titles, and long texts of many of them: late places and long sentences have larger numbers than any title has.
TEXTS: Final = (
    *_TITLES,
    *(" ".join(_TITLES[start : start + 10]) for start in range(0, len(_TITLES), 10)),
    " ".join(_TITLES[::5]),
    " ".join(title for title in _TITLES if not title.isascii()),
)

#: Stands in the names and the digests of graphs in int8: other texts give other scales, and so other vectors.
DIGEST: Final = hashlib.sha256(repr(TEXTS).encode()).hexdigest()[:8]


def variant(precision: str) -> str:
    """Return the part of a graph's name and identity that its precision makes.

    >>> variant("float32")
    'float32'
    """
    return f"{precision}-{DIGEST}" if precision == "int8" else precision
