"""MLflow beside the registry, for those who keep their models there (the extra ``mlflow``).

The folder stays what workers and commands read: nothing scores from MLflow. What is saved by a person's command is told
to MLflow, too: one registered model for a deployment, under its name (``Settings.identity``), with a version for each
snapshot. Each version has a run, which holds its metrics and its files, byte for byte as in the folder, and tags that
begin with ``tocsin.``. Two aliases say what they say here: ``champion`` is what scorers decide with, ``challenger``
what was saved last and not promoted. So ``models:/tocsin@champion`` is what somebody on MLflow expects.

MLflow numbers its versions itself, so a version is found by the tag ``tocsin.model``, our ``name/version``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.learning.training import Snapshot
from models.registry.registry import Registry, RegistryError
from services.contract.announcement import Promotion
from services.contract.errors import TocsinError
from services.kafka.announcing import name_of
from services.runtime.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
FOLDER = "snapshot"
"""Of the artifacts in their run."""
TAG_MODEL, TAG_HASH = "tocsin.model", "tocsin.model_hash"


class MlflowError(TocsinError, RuntimeError):
    """MLflow is not installed, cannot be reached, or does not have what is asked for. The message says what."""

    may_quote = True


class MlflowRegistry:
    """The registered model of a deployment at ``settings.registry_mlflow``, a tracking URI of MLflow.

    Raises
    ------
    MlflowError
        Without the extra; every method, when MLflow refuses or cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody hears that there is a model
        try:
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise MlflowError("MLflow is not installed: pip install 'tocsin[mlflow]'") from None
        self._refused: type[Exception] = MlflowException
        self._name, self._folder = settings.identity, Registry(settings.registry)
        uri = settings.registry_mlflow
        with self._saying(uri):
            self._client: MlflowClient = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def saved(self, snapshot: Snapshot) -> None:
        """A version was saved in the folder: register it, once, and call it the challenger."""
        with self._saying(self._name):
            version = self._registered(snapshot)
            self._client.set_registered_model_alias(self._name, CHALLENGER, version.version)

    def promoted(self, promotion: Promotion | None) -> None:
        """A promotion, or a rollback, is in force: ``champion`` follows it, and is nobody where there is none.

        A champion that the folder has and MLflow has not, such as one of the learner's, is registered first. Who
        becomes the champion is no challenger any more.
        """
        with self._saying(self._name):
            if promotion is None:
                if self._alias(CHAMPION) is not None:
                    self._client.delete_registered_model_alias(self._name, CHAMPION)
                return
            version = self._registered(self._folder.named(name_of(promotion.champion)))
            self._client.set_registered_model_alias(self._name, CHAMPION, version.version)
            challenger = self._alias(CHALLENGER)
            if challenger is not None and challenger.version == version.version:
                self._client.delete_registered_model_alias(self._name, CHALLENGER)

    def fetched(self, model: str) -> Snapshot:
        """Copy a version into the folder: ``name/version``, or an alias.

        Raises
        ------
        RegistryError
            When what MLflow holds is not as it was written or has no fit name, or the folder has another version of it.
        """
        with self._saying(self._name):
            version = self._alias(model) if "/" not in model else self._find(model)
            if version is None:
                raise MlflowError(f"{self._name}: MLflow has no {model}")
            with tempfile.TemporaryDirectory() as folder:
                name, _, number = str(version.tags.get(TAG_MODEL, "")).rpartition("/")
                if not name or not number.isdecimal():
                    raise MlflowError(f"{self._name} version {version.version}: has no tag {TAG_MODEL}")
                copy = Registry(Path(folder) / "registry")
                copy.folder.mkdir()
                line = copy.path(name, int(number)).parent
                os.replace(self._client.download_artifacts(version.run_id, FOLDER, folder), line)
                snapshot = copy.load(name, int(number))
                graphs = [file.read_bytes() for file in copy.files(snapshot.announcement)[1:]]
        if snapshot.announcement.model_hash != version.tags.get(TAG_HASH):
            raise RegistryError(f"{model}: its hash is not that of the tag {TAG_HASH}")
        for graph in graphs:
            self._folder.save_graph(name, graph)
        self._folder.save(snapshot)
        return snapshot

    def _registered(self, snapshot: Snapshot) -> ModelVersion:
        said = snapshot.announcement
        found = self._find(name_of(said))
        if found is not None:
            if found.tags.get(TAG_HASH) != said.model_hash:
                raise MlflowError(f"{self._name}: MLflow has another model {name_of(said)}")
            return found
        client, name = self._client, self._name
        experiment = client.get_experiment_by_name(name)
        experiment_id = client.create_experiment(name) if experiment is None else experiment.experiment_id
        run = client.create_run(experiment_id, run_name=name_of(said))
        for metric, value in _metrics(snapshot.about).items():
            client.log_metric(run.info.run_id, metric, value)
        for file in self._folder.files(said):
            client.log_artifact(run.info.run_id, str(file), FOLDER)
        client.set_terminated(run.info.run_id)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        tags = {
            TAG_MODEL: name_of(said),
            TAG_HASH: said.model_hash,
            "tocsin.feature_schema_hash": said.feature_schema_hash,
            "tocsin.kind": said.kind,
            "tocsin.trained_event_time_ms": str(said.trained_event_time_ms),
            **{f"tocsin.{metric}": f"{value:.6g}" for metric, value in _metrics(snapshot.about).items()},
        }
        source = f"{run.info.artifact_uri}/{FOLDER}"
        return client.create_model_version(name, source, run_id=run.info.run_id, tags=tags)

    def _find(self, model: str) -> ModelVersion | None:
        found = self._client.search_model_versions(f"name = '{self._name}' and tags.`{TAG_MODEL}` = '{model}'")
        return found[0] if found else None

    def _alias(self, alias: str) -> ModelVersion | None:
        models = self._client.search_registered_models(f"name = '{self._name}'")
        if not models or alias not in models[0].aliases:
            return None
        return self._client.get_model_version_by_alias(self._name, alias)

    @contextmanager
    def _saying(self, what: str) -> Iterator[None]:
        """MLflow's refusals as ours."""
        try:
            yield
        except (self._refused, OSError) as error:
            raise MlflowError(f"MLflow, {what}: {error}") from error


def _metrics(about: dict[str, Any]) -> dict[str, float]:
    """The figures of the held-out decisions, by name, as far as there are any."""
    figures = about.get("held_out", {}).get("all", {})
    return {f"held_out.{name}": float(value) for name, value in figures.items() if value is not None}


def tell_mlflow(settings: Settings, tell: Callable[[MlflowRegistry], None]) -> str | None:
    """``tell`` MLflow, where ``settings`` name one; what went wrong, for people, or ``None``.

    The folder and Kafka already hold what is told: they count, and whoever repeats the command tells MLflow again.
    """
    if not settings.registry_mlflow:
        return None
    try:
        tell(MlflowRegistry(settings))
    except (MlflowError, RegistryError) as error:
        return f"{error} (it is done nonetheless; the same command again tells MLflow)"
    return None
