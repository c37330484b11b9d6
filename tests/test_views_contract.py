"""Matter data by SQL, by the contract kit, on real databases."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest

from autopay_core.testing.contracts import MatterDataContract
from views_firm import (
    EACH,
    EVERYBODY,
    STATEMENTS,
    AlchemyFirm,
    AlchemyPostgresFirm,
    PostgresFirm,
    SqliteFirm,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from autopay_core.adapters.views import Statements
    from autopay_core.invoices import Invoice, SearchResult
    from autopay_core.ports import MatterData


class _OfSql(MatterDataContract):
    statements: Statements = STATEMENTS

    @pytest.fixture
    def seed(
        self, firm: SqliteFirm
    ) -> Callable[[Sequence[Invoice], Sequence[SearchResult]], MatterData]:
        def seeded(
            given: Sequence[Invoice], directory: Sequence[SearchResult]
        ) -> MatterData:
            firm.seed(given, directory)
            return firm.adapter(self.statements)

        return seeded

    @pytest.fixture
    def put(self, firm: SqliteFirm) -> Callable[[Invoice], None]:
        return firm.put

    @pytest.fixture
    def spoil(self, firm: SqliteFirm) -> Callable[[], None]:
        def spoiled() -> None:
            firm.do("UPDATE bill SET issued = NULL WHERE bill_no = 'INV-1'")

        return spoiled


class _OnSqlite(_OfSql):
    @pytest.fixture
    def firm(self, tmp_path: Path) -> SqliteFirm:
        return SqliteFirm(tmp_path)

    @pytest.fixture
    def offline(
        self, firm: SqliteFirm
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextlib.contextmanager
        def gone() -> Iterator[None]:
            away = firm.path.with_suffix(".away")
            shutil.move(firm.path, away)
            yield
            shutil.move(away, firm.path)

        return gone


class TestSqliteSource(_OnSqlite):
    pass


class TestSqliteSourceClientByClient(_OnSqlite):
    statements = EACH


class TestSqliteSourceOfEverybody(_OnSqlite):
    statements = EVERYBODY


class TestSqlAlchemySource(_OnSqlite):
    @pytest.fixture
    def firm(self, tmp_path: Path) -> SqliteFirm:
        return AlchemyFirm(tmp_path)


class _OnPostgres(_OfSql):
    @pytest.fixture
    def firm(self) -> SqliteFirm:
        return PostgresFirm()

    @pytest.fixture
    def offline(
        self, firm: SqliteFirm
    ) -> Callable[[], AbstractContextManager[None]]:
        @contextlib.contextmanager
        def gone() -> Iterator[None]:
            firm.do("ALTER TABLE bill RENAME TO gone")
            yield
            firm.do("ALTER TABLE gone RENAME TO bill")

        return gone


@pytest.mark.postgres
@pytest.mark.slow
class TestPostgresSource(_OnPostgres):
    pass


@pytest.mark.postgres
@pytest.mark.slow
class TestSqlAlchemySourceOnPostgres(_OnPostgres):
    @pytest.fixture
    def firm(self) -> SqliteFirm:
        return AlchemyPostgresFirm()
