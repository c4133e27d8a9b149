"""One frozen settings object; the environment is read once, at start, by ``Settings.load``.

Every setting can be given as an environment variable (``STREAMREC_REDIS__URL``), as a file of that name in the folder that
``STREAMREC_SECRETS_DIR`` names, or in the TOML file that ``STREAMREC_CONFIG`` names; the first of these wins. Classes of the
library take their section or plain numbers, never the whole.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError, TomlConfigSettingsSource

from streamrec.credentials import check_kafka, check_redis, redis_password
from streamrec.errors import ConfigError
from streamrec.pictures.settings import PictureSettings
from streamrec.redaction import SECRET_NAMES
from streamrec.secret_files import FOLDER_VARIABLE, SecretFiles
from streamrec.section import Section

#: Becomes part of a Redis key.
Placement = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,32}$")]


class KafkaSettings(Section):
    """How to reach Kafka and how records are read."""

    bootstrap: str = Field("localhost:9092", description="host:port[,host:port]")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = ""
    sasl_username: str = Field("", description="for PLAIN and SCRAM")
    sasl_password: SecretStr = SecretStr("")
    oauth_client_id: str = Field("", description="for OAUTHBEARER: client credentials, by OpenID Connect")
    oauth_client_secret: SecretStr = SecretStr("")
    oauth_token_url: str = Field("", description="the identity provider's token endpoint")
    oauth_scope: str = ""
    ssl_ca_location: str = Field("", description="PEM file that the broker's certificate is checked by; empty: the system's")
    ssl_certificate_location: str = Field("", description="PEM file of our own certificate, where the broker asks for one")
    ssl_key_location: str = Field("", description="PEM file of its key")
    ssl_key_password: SecretStr = SecretStr("")
    group_prefix: str = Field("streamrec", description="consumer groups are <prefix>.<role>")
    session_timeout_ms: int = Field(6000, ge=1000, description="a worker that is silent for so long loses its partitions")
    fetch_wait_max_ms: int = Field(
        20,
        ge=1,
        description="how long a fetch of stock, prices or events waits; the embedded broker answers no sooner",
    )
    relaxed_fetch_wait_max_ms: int = Field(100, ge=1, description="and one of anything else; on Apache Kafka both may be 250")
    max_batch: int = Field(1000, ge=1, description="records handed to a handler at once")
    max_in_flight: int = Field(4, ge=1, description="batches handed over but not done; past it partitions are paused")
    commit_interval_ms: int = Field(200, ge=10)
    drain_timeout_s: float = Field(10.0, gt=0, description="how long a revoked or stopping worker finishes what it holds")
    extra: dict[str, SecretStr] = Field(default_factory=dict, description="JSON object, passed through to librdkafka; never shown")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_kafka(self)
        return self

    @property
    def relaxed(self) -> Self:
        """The settings of a reader whose topics may wait a little longer."""
        return self.model_copy(update={"fetch_wait_max_ms": self.relaxed_fetch_wait_max_ms})


class RedisSettings(Section):
    """How to reach Redis or Valkey."""

    url: SecretStr = Field(
        SecretStr("redis://localhost:6379/0"), description="redis[s]://[user:password@]host:port/db; rediss is encrypted"
    )
    username: str = Field("", description="ACL user, where url holds none")
    password: SecretStr = Field(SecretStr(""), description="where url holds none")
    ssl_ca_location: str = Field("", description="PEM file that the server's certificate is checked by; empty: the system's")
    ssl_certificate_location: str = Field("", description="PEM file of our own certificate, where the server asks for one")
    ssl_key_location: str = Field("", description="PEM file of its key")
    ssl_key_password: SecretStr = SecretStr("")
    timeout_s: float = Field(5.0, gt=0)
    cluster: bool = Field(default=False, description="read with plain commands: functions cannot cross slots")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_redis(self)
        return self


class ModelSettings(Section):
    """Which encoder turns text into vectors."""

    name: str = Field("use-multilingual-v3", description="one that `streamrec model list` shows, or `onnx` with the paths below")
    cache_dir: Path = Field(default_factory=lambda: Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "streamrec")
    precision: Literal["float32", "float16", "int8"] = Field(
        "float32", description="of the built-in encoders' matrices; float16 is for GPUs, int8 for processors that multiply bytes"
    )
    onnx_path: Path | None = None
    tokenizer_path: Path | None = Field(None, description="a tokenizer.json")
    pooling: Literal["mean", "cls", "last", "none"] = Field("mean", description="none: the graph pools by itself")
    query_prefix: str = ""
    item_prefix: str = ""
    max_tokens: int = Field(128, ge=8)
    dim: int = Field(0, ge=0, description="numbers of a vector that are kept, of models trained for it (Matryoshka); 0: all")
    normalize: bool = True
    provider: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(0, ge=0, description="0: one per core")
    batch_tokens: int = Field(0, ge=0, description="tokens per micro-batch; 0: what suits the model on a CPU, 16384 on a GPU")
    own: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="declarations of models by name, over those of the package; fields as in its catalogue.toml",
    )
    hub_url: str = Field(
        "https://huggingface.co", description="where `streamrec model build` fetches from; a mirror's address works, too"
    )
    hub_hosts: tuple[str, ...] = Field(("*.huggingface.co", "*.hf.co"), description="hosts that it may be redirected to")
    hub_max_bytes: int = Field(8 * 1024**3, ge=1, description="the largest file that is fetched")

    def named(self, name: str) -> Self:
        """Return the settings of another model: the same machine, catalogue and hub, and nothing that was said of this one.

        Of the configured model itself everything stays.
        """
        if name == self.name:
            return self
        own = {"onnx_path", "tokenizer_path", "pooling", "query_prefix", "item_prefix", "max_tokens", "dim", "normalize"}
        return type(self).model_validate(
            {**{key: getattr(self, key) for key in type(self).model_fields if key not in own}, "name": name}
        )


class IndexSettings(Section):
    """The vector index of each recommender."""

    kind: Literal["auto", "hnsw", "exact"] = Field(
        "auto", description="a graph (hnsw), exact answers, or whichever suits the number of vectors at the moment"
    )
    exact_up_to: int = Field(15_000, ge=0, description="kind auto: up to so many vectors answers are exact on the CPU")
    exact_up_to_gpu: int = Field(2_000_000, ge=0, description="kind auto: the same where index.provider gives a GPU")
    exact_storage: Literal["auto", "float32", "float16", "int8"] = Field(
        "auto", description="what exact search scans: float32 on the CPU and float16 on a GPU (auto); int8 proves itself by float16"
    )
    provider: Literal["auto", "cpu", "cuda"] = Field(
        "cpu", description="where exact search runs; auto: on a GPU where there is one. It has not been measured on one"
    )
    m: int = Field(16, ge=2)
    ef_construction: int = Field(100, ge=8)
    ef_search: int = Field(64, ge=8)
    max_tombstone_ratio: float = Field(0.2, gt=0, lt=1, description="past it the graph is rebuilt in the background")
    max_items: int = Field(2_000_000, ge=1)
    compact_from: int = Field(100_000, ge=0, description="from so many vectors on they are kept compact; 0: never")
    threads: int = Field(0, ge=0, description="for bulk inserts, rebuilds and batches of queries; 0: one per core")
    max_missing: float = Field(
        0.001, ge=0, lt=1, description="a new model takes over once it has all but this share of the vectors served"
    )


class ProfileSettings(Section):
    """What is remembered of a visitor; every number is a bound."""

    max_interactions: int = Field(64, ge=1)
    max_bought: int = Field(256, ge=1)
    max_cart: int = Field(64, ge=1)
    max_searches: int = Field(8, ge=1)
    max_shown: int = Field(128, ge=1)
    half_life_s: float = Field(7 * 86_400.0, gt=0, description="after so long an interaction counts half")
    weight_order: float = Field(4.0, description="how much an item that was ordered says of what its visitor is after")
    weight_cart: float = Field(2.5, description="one that was put into the cart")
    weight_click: float = Field(1.0, description="one that was opened")
    weight_search: float = Field(0.8, description="a query, on the same scale")


class RankingSettings(Section):
    """How candidates are found and scored; each weight may be 0, which switches the part off.

    A score is an estimate of what the visitor turns to next (together, content, trending, again) as a number below 1, plus what
    newness, a search and a lower price add.
    """

    list_size: int = Field(50, ge=1, le=200, description="items in a visitor's list")
    max_interests: int = Field(3, ge=1, le=8)
    candidates_per_interest: int = Field(60, ge=1)
    seeds: int = Field(8, ge=1, description="latest items whose co-visitation neighbours are candidates")
    seed_decay: float = Field(0.5, gt=0, le=1, description="how much an item counts of what the next later one of the visitor does")
    smoothing: float = Field(
        10.0, gt=0, description="an item met by so many visitors is followed half by what they met next, half by content and trend"
    )
    content_temperature: float = Field(0.12, gt=0, description="an item whose cosine is so much less is e times less likely")
    weight_together: float = Field(1.0, ge=0, description="of what others met next")
    weight_content: float = Field(1.0, ge=0, description="of items alike, in what co-visitation leaves unexplained")
    weight_trending: float = Field(0.1, ge=0, description="of what is popular of late, in the same")
    weight_again: float = Field(2.0, ge=0, description="of meeting an item again that the visitor met last, where visitors do so")
    seen_factor: float = Field(0.3, ge=0, le=1, description="how much other reasons count for the visitor's latest items")
    weight_new: float = Field(0.03, ge=0, description="of the newest item; halves with each new_half_life_s")
    weight_search: float = Field(2.0, ge=0, description="of the cosine with the latest query")
    search_decay: float = Field(0.5, gt=0, le=1, description="how much a query counts of what it did before, per item met since")
    weight_discount: float = Field(0.1, ge=0, description="times the share by which the price is below the list price")
    weight_price: float = Field(
        0.0,
        ge=0,
        le=4,
        description="how far an item's price level in its category counts that is the visitor's, by what was met; 0: not",
    )
    price_doubt: float = Field(
        1.0, gt=0, description="a visitor's price level is drawn to the middle by so much: the newest item met weighs 1"
    )
    learnt: bool = Field(default=True, description="whether the weights of the parts follow impressions and clicks, see learning")
    threshold_drop: float = Field(
        0.15,
        ge=0,
        lt=1,
        description="by this share the threshold drops of items in whose category the visitor clicked in this session: their score "
        "is divided by 1 - it, until the visitor was silent for an hour; 0: none",
    )
    cart_content: float = Field(
        0.2, ge=0, le=1, description="how much content counts on the cart page, where what goes with it is wanted, not its like"
    )
    new_half_life_s: float = Field(86_400.0, gt=0, description="after so long being new counts half")
    explore_impressions: int = Field(
        200,
        ge=0,
        le=2000,
        description="a new item is boosted and explored until it was shown about so often, by events.impressions; 0: no bound",
    )
    shown_penalty: float = Field(0.02, ge=0, description="score lost per impression without a click")
    hide_bought_days: float = Field(30.0, ge=0, description="days for which what a visitor bought is on none of the own lists")
    hide_in_cart: bool = Field(default=True, description="nor what lies in the cart")
    hide_seen: tuple[str, ...] = Field((), description="JSON list of the placements that leave out what the visitor opened lately")
    max_per_category: int = Field(12, ge=1, description="items of a category in a visitor's list, unless it would be short")
    max_per_brand: int = Field(50, ge=1, description="and of a brand")
    explore_every: int = Field(20, ge=0, description="each so-many-th slot goes to a new item; 0: none")
    trending_half_life_s: float = Field(6 * 3600.0, gt=0, description="after so long a visitor counts half for what is popular now")
    trending_smoothing: float = Field(
        50.0, ge=0, description="visitors added to those of late, spread like those of weeks: in a quiet shop a few are no trend"
    )
    together_half_life_s: float = Field(30 * 86_400.0, gt=0, description="after so long two items met together count half")
    search_half_life_s: float = Field(6 * 3600.0, gt=0, description="a query counts half so long before the visitor's latest event")


#: Ranking settings that no variant may have for itself, with the reason.
_SHARED: Final = {
    "list_size": "the lists of all visitors are kept in one matrix",
    "trending_half_life_s": "what visitors met is counted once for all",
    "together_half_life_s": "what visitors met is counted once for all",
}


class VariantSettings(Section):
    """One variant of an experiment: how many visitors see it, and what is ranked otherwise for them."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    weight: float = Field(1.0, gt=0, allow_inf_nan=False, description="its share of the visitors, relative to the others' weights")
    ranking: dict[str, Any] = Field(default_factory=dict, description="ranking settings that differ from STREAMREC_RANKING__*")

    @field_validator("ranking")
    @classmethod
    def _are_ranking_settings(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Hold the overrides to the rules of the section itself."""
        problems = [
            f"{name} is the same for all variants, because {why}: set STREAMREC_RANKING__{name.upper()} instead"
            for name, why in _SHARED.items()
            if name in given
        ]
        try:
            checked = RankingSettings.model_validate(given)
        except ValidationError as error:
            problems += [_told(str(e["loc"][0]), e["type"], e["msg"]) for e in error.errors()]
        if problems:
            raise ValueError("; ".join(problems))
        return {name: getattr(checked, name) for name in given}

    def ranked_by(self, base: RankingSettings) -> RankingSettings:
        """Return the settings that rank its visitors."""
        return RankingSettings.model_validate(base.model_dump() | self.ranking) if self.ranking else base


def _told(name: str, kind: str, message: str) -> str:
    if kind != "extra_forbidden":
        return f"{name}: {message}"
    near = get_close_matches(name, RankingSettings.model_fields, 1)
    return f"{name} is no ranking setting; " + (f"did you mean {near[0]}?" if near else "schemas/config.md has them all")


class ExperimentSettings(Section):
    """Visitors split into variants that are ranked by different settings; without variants there is no experiment.

    Who is in which variant follows from the salt and the visitor's id alone. Lists, and the events that storefronts send of them,
    carry `<name>:<variant>`. All workers must have the same settings here, and so must `streamrec experiment report`.
    """

    name: str = Field("", max_length=64, pattern=r"^[A-Za-z0-9_.-]*$", description="another experiment has another name")
    salt: str = Field("", max_length=128, description="experiments of different salts split independently; empty: the name")
    variants: tuple[VariantSettings, ...] = Field(
        (), max_length=16, description='JSON list, the control first: [{"name": …, "weight": 1, "ranking": {setting: value}}, …]'
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [variant.name for variant in self.variants]
        if bool(names) != bool(self.name):
            raise ValueError("give both name and variants, or neither: then there is no experiment")
        if len(names) == 1:
            raise ValueError("variants: one is no experiment; give a control and at least one other, or none")
        if len(set(names)) < len(names):
            raise ValueError(f"variants: each needs a name of its own, these are {', '.join(names)}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What lists and events call the variants."""
        return tuple(f"{self.name}:{variant.name}" for variant in self.variants)

    @property
    def weights(self) -> tuple[float, ...]:
        """The variants' weights."""
        return tuple(variant.weight for variant in self.variants)


class ListSettings(Section):
    """How lists are kept and repaired."""

    max_visitors: int = Field(1_000_000, ge=1, description="lists that one recommender keeps in memory for repair")
    reserve: int = Field(10, ge=0, description="items of a visitor's list beyond its size: so many may sell out before it is short")
    fallback_size: int = Field(100, ge=1, description="items in a trending or new list")
    item_list_size: int = Field(20, ge=1, description="items in a similar or together list")
    placements: tuple[Placement, ...] = Field(
        ("cart",), description="JSON list: where each visitor has a list of its own besides home, as `rec:{user}:<placement>`"
    )
    cart_age_s: float = Field(
        60.0,
        ge=0,
        description="a cart page's list that is so old is made anew with the visitor's next event though nothing changed",
    )
    fallback_interval_s: float = Field(2.0, gt=0)
    sweep_interval_s: float = Field(0.05, gt=0, description="how often due repairs and campaigns are looked for")


class AbuseSettings(Section):
    """What one visitor, or a crowd that all does the same, can do to the lists of others."""

    max_alike: int = Field(
        3, ge=0, description="of visitors of whom the very same items are known so many a window tell others' lists of it; 0: all"
    )
    alike_window_s: float = Field(6 * 3600.0, gt=0, description="windows follow each other in event time")
    visitor_pairs: int = Field(
        32, ge=1, le=256, description="of the 256 meetings that are kept of an item so many may be one visitor's, the newest"
    )
    visitor_weight: float = Field(
        5.0, gt=0, description="all meetings of one visitor with an item count together as so many visitors at most"
    )


class LearningSettings(Section):
    """How the weights of the score's parts follow impressions and clicks; `ranking.learnt` = false uses none of it.

    What is learnt is a factor on each part's weight, for each placement. A click tells which part spoke for what was clicked, and
    which for what was passed over.
    """

    step: float = Field(0.02, gt=0, le=0.5, description="one click moves the logarithm of a weight by so much at most")
    every_s: float = Field(3600.0, ge=0, description="a visitor's clicks teach at most once in so long, in event time")
    drift: float = Field(
        0.1, gt=0, description="and all visitors together move the logarithm of a weight by so much at most in each drift_s"
    )
    drift_s: float = Field(3600.0, gt=0, description="windows follow each other in event time")
    most: float = Field(3.0, gt=1, le=100, description="a weight stays within 1 / this and this times the configured one")
    half_life_s: float = Field(90 * 86_400.0, gt=0, description="after so long without clicks half of what was learnt is left")
    window_s: float = Field(1800.0, gt=0, description="a click belongs to the latest impression of its item that is not older")
    passed_over: float = Field(
        0.9, ge=0, le=1, description="what stood a place below the click was looked at with this probability, and so on downwards"
    )
    max_shown: int = Field(20_000, ge=1, description="visitors whose latest impressions a recommender keeps for it")
    max_batch: int = Field(16, ge=1, description="clicks of one batch that teach; each costs as much as ranking a list")


class SnapshotSettings(Section):
    """Files of what a recommender replicates, so that it starts again without reading everything."""

    dir: str = Field("", description="a folder that outlives the worker; recommenders may share one; empty: no snapshots")
    interval_s: float = Field(300.0, gt=0, description="what came since is read from Kafka; nothing is written while nothing comes")
    max_age_h: float = Field(
        20.0, gt=0, description="less than delete.retention.ms of the compacted topics (24 h): after it removals are forgotten"
    )
    keep: int = Field(2, ge=1, description="the older ones are for when the newest cannot be used")
    timeout_s: int = Field(600, ge=1, description="a snapshot that takes longer is given up")


class WebSettings(Section):
    """Where a worker answers /livez, /readyz, /metrics and /why."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535, description="0: any free port; `streamrec doctor` shows it")
    advertised_url: str = Field("", description="where others reach this worker; empty: http://host:port")
    max_lag_s: float = Field(60.0, gt=0, description="a record that waits for longer turns /readyz red")
    max_silence_s: float = Field(10.0, gt=0, description="Kafka or Redis without an answer for so long turns /readyz red")


class Settings(BaseSettings):
    """All of it; build it with ``Settings.load``."""

    model_config = SettingsConfigDict(
        env_prefix="STREAMREC_", env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    model: ModelSettings = ModelSettings()
    pictures: PictureSettings = PictureSettings()
    index: IndexSettings = IndexSettings()
    profiles: ProfileSettings = ProfileSettings()
    ranking: RankingSettings = RankingSettings()
    experiment: ExperimentSettings = ExperimentSettings()
    lists: ListSettings = ListSettings()
    abuse: AbuseSettings = AbuseSettings()
    learning: LearningSettings = LearningSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    web: WebSettings = WebSettings()
    max_future_ms: int = Field(300_000, ge=0, description="how far ahead of our clock a message's ts may be")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @model_validator(mode="after")
    def _variants_can_rank(self) -> Self:
        for variant in self.experiment.variants:
            variant.ranked_by(self.ranking)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - it knows no nested names
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, secret files, then the TOML file."""
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if folder := os.environ.get(FOLDER_VARIABLE):
            sources.append(SecretFiles(settings_cls, Path(folder)))
        if path := os.environ.get("STREAMREC_CONFIG"):
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=path))
        return tuple(sources)

    def secrets(self) -> frozenset[str]:
        """Return every value that must never be printed, for ``Redact``."""
        kafka, redis = self.kafka, self.redis
        given = (kafka.sasl_password, kafka.oauth_client_secret, kafka.ssl_key_password, redis.ssl_key_password)
        passed = (value for name, value in kafka.extra.items() if SECRET_NAMES.search(name))
        return frozenset({secret.get_secret_value() for secret in (*given, *passed)} | {redis_password(redis)}) - {""}

    @classmethod
    def load(cls) -> Self:
        """Read the environment and the configuration file once.

        Raises ConfigError that names the setting and what it may be.
        """
        path = os.environ.get("STREAMREC_CONFIG")
        if path and not Path(path).is_file():
            msg = f"STREAMREC_CONFIG names {path}, which is not a file; correct the path or unset it"
            raise ConfigError(msg)
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
            )
            msg = f"settings: {problems}; correct them in the environment (STREAMREC_SECTION__NAME) or in STREAMREC_CONFIG"
            raise ConfigError(msg) from None  # the cause holds what was given
        except (SettingsError, TOMLDecodeError) as error:
            msg = f"settings: {error}; correct them in the environment (STREAMREC_SECTION__NAME) or in STREAMREC_CONFIG"
            raise ConfigError(msg) from None  # as above
