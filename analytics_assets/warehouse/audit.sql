-- What a table holds of each account, in one pass: its rows by key, which tells duplicates, and
-- then the keys by account.
SELECT account, SUM(key_rows), SUM(key_rows) - COUNT(*), MAX(load_id), SUM(orphans), {days}{sums}
FROM (
    SELECT
        t.{account_id} AS account,
        COUNT(*) AS key_rows,
        MAX(t.{load_id}) AS load_id,
        {orphans} AS orphans,
        {day} AS day_of_key{counts}
    FROM {table} t{parents}{where}
    GROUP BY {key}
) by_key
GROUP BY account
