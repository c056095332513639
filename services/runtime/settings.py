"""Settings, validated once at the start. Every error names the setting.

They come, strongest first, from the command line, from the environment (``TOCSIN_BOOTSTRAP=...``), and from a TOML
file (``tocsin.toml`` in the working directory, or the file that ``TOCSIN_CONFIG`` names). A name that is no setting
is an error in each of them: a choice that nobody reads is worse than none.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from services.contract.errors import TocsinError
from services.contract.label import LABEL_FREQUENCY
from services.contract.topics import Topics

PREFIX = "TOCSIN_"
NO_SETTINGS = ("TOCSIN_CONFIG", "TOCSIN_DATA", "TOCSIN_CACHE", "TOCSIN_MAVEN_REPOSITORY")
"""Variables that are ours and no settings: this file's own place, third-party data of tests, the folder of what can be
made or fetched again, and where the broker's jars come from."""


class SettingsError(TocsinError, ValueError):
    """A setting is missing or wrong. Its message has one line a setting, each starting with the setting's name."""

    exit_code = 2


class Settings(BaseSettings):
    """Everything a deployment can choose."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    bootstrap: str = Field("127.0.0.1:9092", min_length=3)
    """Kafka bootstrap servers, host:port[,...]."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: Path | None = None
    """PEM file of the authorities to trust; none: the system's."""

    app_id: str = Field("tocsin", pattern=r"^[a-z0-9][a-z0-9._-]*$")
    """Names groups and transactions."""
    topic_prefix: str = Field("", pattern=r"^[a-z0-9._-]*$")
    """Put before every topic's name."""
    partitions: int = Field(4, ge=1, le=1024)
    """Of every topic that is keyed by account."""
    replication_factor: int = Field(1, ge=1, le=9)
    compression: Literal["snappy", "zstd", "lz4", "none"] = "snappy"
    """Of what workers write: snappy costs the least CPU, zstd packs a decision twice as small."""
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"

    batch_payments_max: int = Field(2_000, ge=1, le=100_000)
    """Payments in one transaction, at most."""
    batch_wait_ms: int = Field(200, ge=1, le=10_000)
    """How long an idle lane waits at a time; the first payment ends the wait."""
    session_timeout_ms: int = Field(10_000, ge=1_000, le=600_000)
    request_timeout_ms: int = Field(40_000, ge=1_000, le=600_000)
    """Without an answer a broker is asked anew."""
    transaction_timeout_ms: int = Field(60_000, ge=1_000, le=900_000)

    broker_wait_s: int = Field(-1, ge=-1, le=86_400)
    """How long a worker waits at its start for a broker; -1: for ever, 0: not at all."""
    stop_grace_s: int = Field(25, ge=1, le=600)
    """A worker that was told to end is gone after so long, whatever the broker does."""
    health_stall_s: int = Field(20, ge=1, le=600)
    """How long a worker's loop may stand still before its health turns red."""
    log_format: Literal["text", "json"] = "text"
    """Of what workers log: lines, or JSON objects."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least that workers log."""

    metrics_port: int = Field(0, ge=0, le=65_535)
    """Prometheus port on metrics_host; 0: none."""
    metrics_host: str = "127.0.0.1"
    registry: Path = Path("var/registry")
    """Folder of model snapshots."""
    registry_mlflow: str = ""
    """Tracking URI of an MLflow to tell of models, too; empty: none."""
    state_dir: Path = Path("var/state")
    """Folder of the learner's store."""
    ruleset: Path | None = None
    """TOML file of rules; none: the one that ships."""
    packs: str = "lsac,fsec-victim,mule,structuring,account-takeover,card-testing"
    """Typology packs to run: names of those that ship, or folders; empty: none."""
    pack_override: Path | None = None
    """TOML file that changes packs' weights and thresholds."""
    pack_key: SecretStr = SecretStr("")
    """Signs the override, and hashes private lists."""
    models_key: SecretStr = SecretStr("")
    """Signs announcements of models, which then must be signed; empty: they need not be."""
    hash_key: SecretStr = SecretStr("")
    """Keys the hashes that count distinct accounts; empty: whoever reads the code knows them."""
    confirmed_payees: Path | None = None
    """File of confirmed payees' keyed hashes, one a line."""
    lexicon: Path | None = None
    """File of a private lexicon's keyed hashes, one term a line."""
    account_idle_days: int = Field(400, ge=1, le=3_650)
    """Event time after which an account is forgotten."""
    accounts_max: int = Field(1_000_000, ge=1, le=16_000_000)
    """Accounts remembered in a partition at either hop, about 700 bytes each; the longest idle make room."""
    subjects_max: int = Field(1_000_000, ge=1, le=16_000_000)
    """Payers, and payees, of payments under a pack that are remembered in a partition, about 3 KB each."""
    subject_evidence: bool = False
    """Whether payments under a pack go on to the subject hop. Nothing asks there as long as workers have no subject
    model, and what is handed on is 1.5 KB a payment."""
    event_ahead_hours: int = Field(24, ge=1, le=168)
    """How far ahead of its record's append a payment may be dated; others are dead letters."""
    event_behind_days: int = Field(30, ge=0, le=3_650)
    """The same behind it: longer than an outage or a weekend's file, shorter than a wrong year; 0: no limit, for a
    backfill."""
    event_spread_minutes: int = Field(60, ge=0, le=525_600)
    """How far ahead of the slowest of its partitions a worker reads payments while it catches up; 0: no matter."""
    window_payments: int = Field(10_000_000, ge=1_000, le=16_000_000)
    """Payments of a partition that are remembered to know repeats by, 20 bytes each."""
    window_days: int = Field(400, ge=1, le=3_650)
    """Event time after which they are forgotten all the same."""
    checkpoint_payments: int = Field(50_000, ge=1, le=10_000_000)
    """Records of a partition after which what changed in its state is written; fewer are read again after a crash."""
    checkpoint_s: int = Field(10, ge=1, le=3_600)
    """Seconds after which it is written all the same."""
    pinned_model: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    """Hash of the only model to score with."""
    shadow_challengers_max: int = Field(8, ge=1, le=64)
    """Challengers that score in shadow: those announced last."""
    snapshot_examples: int = Field(2_000, ge=1)
    """Examples between two model snapshots."""
    keep_share: float = Field(0.1, gt=0, le=1)
    """Of decisions of low probability that the learner keeps for their labels; 1: all."""
    keep_probability: float = Field(0.05, gt=0, le=1)
    """Probability from which on it keeps every decision."""
    learn_share: float = Field(0.1, gt=0, le=1)
    """As keep_share, of those that turn out not suspicious: what is learned of them."""
    label_maturity_days: int = Field(90, ge=0, le=400)
    """Event time after which no label is a weak sign that all is well; 0: never."""
    label_frequency: float = Field(LABEL_FREQUENCY, gt=0, le=1)
    """Share of suspicious payments that ever get a label, for what silence weighs."""
    challengers: str = Field("all", pattern=r"^([a-z_]+(,[a-z_]+)*)?$")
    """Kinds of models that the learner trains beside the logistic one; all: every kind; empty: none."""
    refit_examples: int = Field(7_000, ge=1)
    """Examples between two fits of the boosted challenger."""
    refit_window_examples: int = Field(100_000, ge=1, le=1_000_000)
    """The latest examples that such a fit looks at: about 2 KB of memory each."""
    alerts_per_day: float = Field(0, ge=0, le=1e6)
    """Subjects a day that people can take up in each queue, the riskiest; 0: all."""
    alert_quiet_hours: float = Field(0, ge=0, le=8_760)
    """Event time after a revision of an alert in which only news makes another."""
    alert_life_days: int = Field(90, ge=0, le=3_650)
    """Event time without a review after which an alert lapses; 0: never."""
    alert_budget_share: float = Field(0.002, gt=0, lt=1)
    """Share of payments people can review."""
    drift_sample: int = Field(16, ge=1, le=65_536)
    """One decision in so many is looked at for drift."""
    drift_window_days: int = Field(7, ge=1, le=92)
    """Event time of the reference and of what is held against it; 7: whole weeks."""
    drift_window_decisions: int = Field(2_000, ge=100, le=1_000_000)
    """Sampled decisions without which a window lasts longer."""
    drift_psi: float = Field(0.25, gt=0, le=10)
    """Population stability index that is an alarm."""
    drift_reference: str = Field("1", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Names drift's reference; another name takes it anew."""

    @property
    def topics(self) -> Topics:
        """The topics of this deployment."""
        return Topics(self.topic_prefix)

    @property
    def repeats_possible(self) -> bool:
        """Whether a hop may write a record twice, after a crash."""
        return self.delivery == "at_least_once"

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
        One line for each setting that is wrong or unknown, starting with its name as the environment spells it.
    """
    file = os.environ.get(PREFIX + "CONFIG")
    if file and not Path(file).is_file():
        raise SettingsError(f"{PREFIX}CONFIG: no such file: {file}; expected a TOML file of settings")
    wrong = unknown_variables(os.environ)
    try:
        settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            "\n".join([*wrong, f"{PREFIX}CONFIG: {file or 'tocsin.toml'} is no TOML: {error}"])
        ) from None
    except ValidationError as error:
        raise SettingsError("\n".join([*wrong, *map(_line, error.errors())])) from None
    if wrong := [*wrong, *_contradictions(settings)]:
        raise SettingsError("\n".join(wrong))
    return settings


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable of ``environment`` that begins as ours do and is none.

    >>> unknown_variables({"TOCSIN_PARTITONS": "8", "TOCSIN_PARTITIONS": "8", "HOME": "/"})
    ['TOCSIN_PARTITONS: there is no such setting; did you mean TOCSIN_PARTITIONS?']
    """
    known = {*_names(), *NO_SETTINGS}
    return [
        _no_such(name.upper(), known)
        for name, value in sorted(environment.items())
        if name.upper().startswith(PREFIX) and name.upper() not in known and not is_service_link(name.upper(), value)
    ]


_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
_LINK = re.compile(r"_PORT(_\d+_(TCP|UDP|SCTP))?$")
_LINK_PART = re.compile(r"_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$")


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes set this variable, in every pod, for a service whose name begins with ``tocsin``.

    Its names cannot be told from misspelt settings by their end alone: ``TOCSIN_SCORER_PORT`` is one of its own,
    ``TOCSIN_METRIC_PORT`` is a typing error. Its values can: an address with a protocol (``tcp://10.0.0.1:9464``) where
    a setting has a plain number. The rest has a shape that no setting has.

    >>> is_service_link("TOCSIN_SCORER_PORT", "tcp://10.96.0.12:9464"), is_service_link("TOCSIN_METRIC_PORT", "9464")
    (True, False)
    """
    if _ADDRESS.fullmatch(value):
        return _LINK.search(name) is not None
    if name.endswith("_SERVICE_HOST"):
        return _is_address(value)
    return _LINK_PART.search(name) is not None or ("_SERVICE_PORT" in name and value.isdecimal())


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _names() -> list[str]:
    return [PREFIX + name.upper() for name in Settings.model_fields]


def _no_such(name: str, known: Iterable[str]) -> str:
    # Without the prefix, which would make every name look like every other.
    near = difflib.get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known], n=1)
    return f"{name}: there is no such setting" + (f"; did you mean {PREFIX}{near[0]}?" if near else "")


def _line(error: Mapping[str, Any]) -> str:
    name = f"{PREFIX}{'.'.join(map(str, error['loc']))}".upper()
    return _no_such(name, _names()) if error["type"] == "extra_forbidden" else f"{name}: {error['msg']}"


def _contradictions(settings: Settings) -> list[str]:
    """Settings that are each in order and do not go together: most of all, security that would not be had."""
    lines = _no_addresses(settings.bootstrap)
    protocol = settings.security_protocol
    has = {
        "sasl_username": bool(settings.sasl_username),
        "sasl_password": bool(settings.sasl_password.get_secret_value()),
    }
    if protocol.startswith("SASL"):
        both = f"TOCSIN_SECURITY_PROTOCOL={protocol} needs TOCSIN_SASL_USERNAME and TOCSIN_SASL_PASSWORD"
        lines += [f"{PREFIX}{name.upper()}: not set; {both}" for name, is_set in has.items() if not is_set]
    else:
        other = settings.sasl_mechanism != type(settings).model_fields["sasl_mechanism"].default
        idle = [name for name, is_set in {**has, "sasl_mechanism": other}.items() if is_set]
        why = f"nobody would log in: TOCSIN_SECURITY_PROTOCOL is {protocol}, not SASL_SSL or SASL_PLAINTEXT"
        lines += [f"{PREFIX}{name.upper()}: {why}" for name in idle]
    if settings.ssl_cafile is not None and not protocol.endswith("SSL"):
        lines.append(f"TOCSIN_SSL_CAFILE: nothing would be encrypted: TOCSIN_SECURITY_PROTOCOL is {protocol}")
    elif settings.ssl_cafile is not None and not settings.ssl_cafile.is_file():
        lines.append(f"TOCSIN_SSL_CAFILE: no such file: {settings.ssl_cafile}")
    return lines


_SERVER = re.compile(r"([^:\s]+|\[[0-9A-Fa-f:.]+\])(:(?P<port>\d{1,5}))?")


def _no_addresses(bootstrap: str) -> list[str]:
    """A line for each bootstrap server that is no ``host:port``.

    >>> _no_addresses("kafka-1:9093,[::1]:9092,localhost"), len(_no_addresses("kafka:port,kafka:99999,"))
    ([], 3)
    """
    matches = {each: _SERVER.fullmatch(each.strip()) for each in bootstrap.split(",")}
    return [
        f"{PREFIX}BOOTSTRAP: {each!r} is no address; expected host:port[,host:port...], such as 127.0.0.1:9092"
        for each, match in matches.items()
        if match is None or int(match["port"] or 1) not in range(1, 65_536)
    ]
