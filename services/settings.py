"""Settings, validated once at the start. Every error names the setting.

They come, strongest first, from the command line, from the environment (``TOCSIN_BOOTSTRAP=...``), and from a TOML
file (``tocsin.toml`` in the working directory, or the file that ``TOCSIN_CONFIG`` names).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from models.labels import LABEL_FREQUENCY
from services.contract.topics import Topics

PREFIX = "TOCSIN_"


class SettingsError(ValueError):
    """A setting is missing or wrong. Its message has one line a setting, each starting with the setting's name."""


class Settings(BaseSettings):
    """Everything a deployment can choose."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    bootstrap: str = Field("127.0.0.1:9092", min_length=3, description="Kafka bootstrap servers, host:port[,...]")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: Path | None = Field(None, description="PEM file of the authorities to trust; none: the system's")

    app_id: str = Field("tocsin", pattern=r"^[a-z0-9][a-z0-9._-]*$", description="names groups and transactions")
    topic_prefix: str = Field("", pattern=r"^[a-z0-9._-]*$", description="put before every topic's name")
    partitions: int = Field(4, ge=1, le=1024, description="of every topic that is keyed by account")
    replication_factor: int = Field(1, ge=1, le=9)
    compression: Literal["snappy", "zstd", "lz4", "none"] = Field(
        "snappy", description="of what workers write: snappy costs the least CPU, zstd packs a decision twice as small"
    )
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"

    batch_payments_max: int = Field(2_000, ge=1, le=100_000, description="payments in one transaction, at most")
    batch_wait_ms: int = Field(
        200, ge=1, le=10_000, description="how long an idle lane waits at a time; the first payment ends the wait"
    )
    session_timeout_ms: int = Field(10_000, ge=1_000, le=600_000)
    request_timeout_ms: int = Field(
        40_000, ge=1_000, le=600_000, description="without an answer a broker is asked anew"
    )
    transaction_timeout_ms: int = Field(60_000, ge=1_000, le=900_000)

    metrics_port: int = Field(0, ge=0, le=65_535, description="Prometheus port on metrics_host; 0: none")
    metrics_host: str = "127.0.0.1"
    registry: Path = Field(Path("var/registry"), description="folder of model snapshots")
    registry_mlflow: str = Field("", description="tracking URI of an MLflow to tell of models, too; empty: none")
    state_dir: Path = Field(Path("var/state"), description="folder of the learner's store")
    ruleset: Path | None = Field(None, description="TOML file of rules; none: the one that ships")
    packs: str = Field(
        "lsac,fsec-victim,mule,structuring,account-takeover,card-testing",
        description="typology packs to run: names of those that ship, or folders; empty: none",
    )
    pack_override: Path | None = Field(None, description="TOML file that changes packs' weights and thresholds")
    pack_key: SecretStr = Field(SecretStr(""), description="signs the override, and hashes private lists")
    confirmed_payees: Path | None = Field(None, description="file of confirmed payees' keyed hashes, one a line")
    lexicon: Path | None = Field(None, description="file of a private lexicon's keyed hashes, one term a line")
    account_idle_days: int = Field(400, ge=1, le=3_650, description="event time after which an account is forgotten")
    pinned_model: str = Field("", pattern=r"^([0-9a-f]{64})?$", description="hash of the only model to score with")
    shadow_challengers_max: int = Field(
        8, ge=1, le=64, description="challengers that score in shadow: those announced last"
    )
    snapshot_examples: int = Field(2_000, ge=1, description="examples between two model snapshots")
    keep_share: float = Field(
        0.1, gt=0, le=1, description="of decisions of low probability that the learner keeps for their labels; 1: all"
    )
    keep_probability: float = Field(0.05, gt=0, le=1, description="probability from which on it keeps every decision")
    label_maturity_days: int = Field(
        90, ge=0, le=400, description="event time after which no label is a weak sign that all is well; 0: never"
    )
    label_frequency: float = Field(
        LABEL_FREQUENCY,
        gt=0,
        le=1,
        description="share of suspicious payments that ever get a label, for what silence weighs",
    )
    challengers: str = Field(
        "adaptive_forest,halfspace,boosting",
        pattern=r"^((adaptive_forest|halfspace|boosting)(,(adaptive_forest|halfspace|boosting))*)?$",
        description="kinds of models that the learner trains beside the logistic one; empty: none",
    )
    refit_examples: int = Field(10_000, ge=1, description="examples between two fits of the boosted challenger")
    refit_window_examples: int = Field(
        50_000,
        ge=1,
        le=1_000_000,
        description="the latest examples that such a fit looks at: about 2 KB of memory each",
    )
    alerts_per_day: float = Field(
        0, ge=0, le=1e6, description="subjects a day that people can take up in each queue, the riskiest; 0: all"
    )
    alert_quiet_hours: float = Field(
        0, ge=0, le=8_760, description="event time after a revision of an alert in which only news makes another"
    )
    alert_life_days: int = Field(
        90, ge=0, le=3_650, description="event time without a review after which an alert lapses; 0: never"
    )
    alert_budget_share: float = Field(0.002, gt=0, lt=1, description="share of payments people can review")
    drift_sample: int = Field(16, ge=1, le=65_536, description="one decision in so many is looked at for drift")
    drift_window_days: int = Field(
        7, ge=1, le=92, description="event time of the reference and of what is held against it; 7: whole weeks"
    )
    drift_window_decisions: int = Field(
        2_000, ge=100, le=1_000_000, description="sampled decisions without which a window lasts longer"
    )
    drift_psi: float = Field(0.25, gt=0, le=10, description="population stability index that is an alarm")
    drift_reference: str = Field(
        "1", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="names drift's reference; another name takes it anew"
    )

    @property
    def topics(self) -> Topics:
        """The topics of this deployment."""
        return Topics(self.topic_prefix)

    @property
    def identity(self) -> str:
        """What the names of this deployment's groups and transactions begin with."""
        return self.topic_prefix + self.app_id

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = Path(os.environ.get(PREFIX + "CONFIG", "tocsin.toml"))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)


def load_settings(**chosen: Any) -> Settings:
    """Settings with ``chosen`` (from a command line; ``None`` means *not given*) over environment and file.

    Raises
    ------
    SettingsError
        One line for each setting that is wrong, starting with its name as the environment spells it.
    """
    file = os.environ.get(PREFIX + "CONFIG")
    if file and not Path(file).is_file():
        raise SettingsError(f"{PREFIX}CONFIG: no such file: {file}")
    try:
        return Settings(**{name: value for name, value in chosen.items() if value is not None})
    except ValidationError as error:
        lines = [f"{PREFIX}{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors()]
        raise SettingsError("\n".join(lines)) from None
