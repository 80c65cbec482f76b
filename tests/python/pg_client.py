"""Speaks to a server as psycopg does, and fails when it is not answered as PostgreSQL would.

Usage: pg_client.py PORT PASSWORD. The server has the logs that pg_wire.rs sent.
"""

import sys
import threading
import time
from datetime import date, datetime, timedelta, timezone

import psycopg
from psycopg.pq import TransactionStatus

LONG = "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 3"
PORT, PASSWORD = int(sys.argv[1]), sys.argv[2]


def connect(**more):
    more = {"password": PASSWORD, "autocommit": True, **more}
    return psycopg.connect(host="127.0.0.1", port=PORT, user="me", dbname="hindsight", **more)


def simple_and_typed():
    with connect() as c:
        row = c.execute("SELECT service_name, severity, timestamp, body FROM logs ORDER BY timestamp LIMIT 1").fetchone()
        assert row[0] == "checkout" and row[3] == "line 0 \N{SNOWMAN}", row
        assert row[2].tzinfo is not None and row[2].utcoffset() == timedelta(0), row
        kinds = """SELECT true, CAST(-7 AS SMALLINT), 7, 1.5::double, 'NaN'::double, 'x', NULL, DATE '2026-05-04',
                   [1, NULL, 3], INTERVAL '1 day 2 hours', 18446744073709551615"""
        for binary in (False, True):
            row = c.cursor(binary=binary).execute(kinds).fetchone()
            assert row[:4] == (True, -7, 7, 1.5) and row[4] != row[4], (binary, row)
            assert row[5:8] == ("x", None, date(2026, 5, 4)), (binary, row)
            assert row[8:10] == ([1, None, 3], timedelta(days=1, hours=2)), (binary, row)
            assert row[10] == 18446744073709551615, (binary, row)


def parameters():
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    sql = "SELECT count(*) FROM logs WHERE service_name = %s AND timestamp > %s AND severity_number >= %b"
    with connect() as c:
        for binary in (False, True):
            for _ in range(8):  # psycopg prepares by name from the sixth time on
                count = c.cursor(binary=binary).execute(sql, ("checkout", since, 9)).fetchone()
                assert count == (100,), count
        assert c.execute("SELECT body FROM logs WHERE attributes->>'user' = %s", ("u7",)).fetchall() == [
            ("line 7 \N{SNOWMAN}",)
        ]
        assert c.execute("SELECT count(*) FROM logs LIMIT %s", (1,)).fetchone() == (100,)
        row = c.execute("SELECT %s + 1, %s, %s::double", (41, "it's; $1", None)).fetchone()
        assert row == (42, "it's; $1", None), row
        described = c.pgconn.prepare(b"p", b"SELECT service_name, severity_number FROM logs WHERE timestamp > $1 LIMIT $2")
        assert described.error_message == b"", described.error_message
        result = c.pgconn.describe_prepared(b"p")
        assert (result.param_type(0), result.param_type(1)) == (1184, 20), result.param_type(0)
        assert [result.ftype(i) for i in range(result.nfields)] == [25, 23], result.ftype(1)


def errors_and_transactions():
    with connect() as c:
        for sql, kind in [
            ("SELECT * FROM lgos", psycopg.errors.UndefinedTable),
            ("SELECT nothing FROM logs", psycopg.errors.UndefinedColumn),
            ("SELEC 1", psycopg.errors.SyntaxError),
            ("DELETE FROM logs", psycopg.errors.ReadOnlySqlTransaction),
            ("SELECT 1; SELECT 2/0; SELECT 3", psycopg.errors.DivisionByZero),
            ("COPY logs TO STDOUT", psycopg.errors.FeatureNotSupported),
        ]:
            try:
                c.execute(sql)
            except kind as error:
                assert error.diag.message_primary and error.diag.severity == "ERROR", sql
            else:
                raise AssertionError(f"{sql} was not refused")
            assert c.execute("SELECT 1").fetchone() == (1,), sql
    with connect(autocommit=False) as c:
        c.execute("SELECT 1")
        assert c.info.transaction_status == TransactionStatus.INTRANS
        try:
            c.execute("SELECT * FROM lgos")
        except psycopg.errors.UndefinedTable:
            pass
        try:
            c.execute("SELECT 1")
        except psycopg.errors.InFailedSqlTransaction:
            pass
        else:
            raise AssertionError("a failed transaction went on")
        c.rollback()
        assert c.execute("SELECT 2").fetchone() == (2,)
    with connect() as c, c.pipeline():
        answers = [c.execute("SELECT %s::bigint", (n,)) for n in range(20)]
        assert [answer.fetchone()[0] for answer in answers] == list(range(20))


def cancel():
    with connect() as c:
        threading.Timer(0.3, c.cancel).start()
        started = time.monotonic()
        try:
            c.execute(LONG)
        except psycopg.errors.QueryCanceled:
            assert time.monotonic() - started < 20
        else:
            raise AssertionError("the query was not cancelled")
        assert c.execute("SELECT 1").fetchone() == (1,)
        outcome = c.execute("SELECT outcome FROM query_log WHERE sql LIKE '%1000000000000%' ORDER BY id LIMIT 1")
        assert outcome.fetchone() == ("cancelled",)
        c.execute("SET statement_timeout = '200ms'")
        try:
            c.execute(LONG)
        except psycopg.errors.QueryCanceled as error:
            assert "timeout" in str(error), error


def streams():
    with connect() as c:
        total = 0
        for (n,) in c.cursor().stream("SELECT value FROM generate_series(1, 300000)"):
            total += n
        assert total == 300000 * 300001 // 2, total


def who_goes_away_frees_his_place():
    sql = b"SELECT a.value, repeat('x', 1000) FROM generate_series(1, 900000) a"
    gone = []
    for _ in range(12):  # more than may run at once
        c = connect()
        c.pgconn.send_query(sql)
        while c.pgconn.flush():
            pass
        gone.append(c)
    time.sleep(1)
    for c in gone:
        c.pgconn.finish()
    deadline = time.monotonic() + 20
    with connect() as c:
        while True:
            try:
                if c.execute("SELECT 1").fetchone() == (1,):
                    break
            except psycopg.Error:
                assert time.monotonic() < deadline, "the places of those who went away are still taken"


def wrong_password():
    try:
        connect(password="not the token at all")
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error
    else:
        raise AssertionError("a wrong password was taken")


for check in (
    wrong_password,
    simple_and_typed,
    parameters,
    errors_and_transactions,
    cancel,
    streams,
    who_goes_away_frees_his_place,
):
    check()
    print(check.__name__)
