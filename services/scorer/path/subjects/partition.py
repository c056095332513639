"""What the hops remember of one partition where subjects are added up: the payee hop beside its accounts, the subject
hop alone."""

from __future__ import annotations

from services.scorer.path.features.partition_state import PartitionState
from services.scorer.path.features.rows import PAYEE_ROW
from services.scorer.path.features.state import ACCOUNTS_MAX, AccountState
from services.scorer.path.subjects.said import SAID_PREFIX, Entry, Said
from services.scorer.path.subjects.state import SUBJECTS_MAX, PayeeSubjects, PayerSubjects


class PayeeState(AccountState):
    """The accounts of a partition of the payee hop, and its payees as subjects; parameters as of ``AccountState``."""

    def __init__(
        self,
        idle_ms: int,
        sources: int,
        schema: bytes,
        accounts_max: int = ACCOUNTS_MAX,
        subjects_max: int = SUBJECTS_MAX,
    ) -> None:
        self.subjects = PayeeSubjects(subjects_max)
        super().__init__(PAYEE_ROW, idle_ms, sources, schema, accounts_max, beside=self.subjects)
        self.said = Said(self._format)

    def beyond_log(self, with_checkpoint: bool = False) -> list[Entry]:
        """As ``PartitionState``: what the model said of payments under a pack."""
        return self.said.entries(with_checkpoint)

    def _restore_beyond_log(self, key: bytes, value: bytes | None) -> bool:
        is_said = key.startswith(SAID_PREFIX)
        if is_said:
            self.said.restore(key, value)
        return is_said


class PayerState(PartitionState):
    """The payers of a partition of the subject hop, as subjects.

    Parameters
    ----------
    sources
        Partitions of the payee hop, whose records may repeat.
    schema
        What else the rows' meaning depends on (``hops.schema_of``).
    subjects_max
        Remembered at most.
    """

    def __init__(self, sources: int, schema: bytes, subjects_max: int = SUBJECTS_MAX) -> None:
        self.subjects = PayerSubjects(subjects_max)
        layout = self.subjects.layout, schema
        super().__init__([self.subjects.clocks], self.subjects.tables, layout, sources)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, spare rows and the index included."""
        return self.subjects.nbytes

    def _let_go(self) -> None:
        """Nothing: subjects give rows back as they are forgotten."""

    def _settle(self) -> None:
        self.subjects.settle()
