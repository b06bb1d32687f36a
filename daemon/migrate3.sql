-- From version 2 of the database to 3: all of it in one transaction, and small, whatever is there.
ALTER TABLE attempts ADD COLUMN day INTEGER;
ALTER TABLE attempts ADD COLUMN type TEXT;
ALTER TABLE attempts ADD COLUMN rendering TEXT;
ALTER TABLE attempts ADD COLUMN next_step INTEGER;
ALTER TABLE attempts ADD COLUMN priced TEXT;
ALTER TABLE pages ADD COLUMN content TEXT;
ALTER TABLE pages ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
CREATE INDEX pages_content ON pages (content) WHERE content IS NOT NULL AND version > 0;

DROP INDEX attempts_paid;

CREATE TABLE usage (
	day		INTEGER NOT NULL,
	backend		TEXT NOT NULL,
	model		TEXT NOT NULL,		-- "" without one
	type		TEXT NOT NULL,		-- as answered, else as asked; "" when that is not known
	attempts	INTEGER NOT NULL,
	answers		INTEGER NOT NULL,	-- attempts that gave a result
	unreported	INTEGER NOT NULL,	-- attempts of which only the reservation is known
	pages		INTEGER NOT NULL,	-- different ones
	reused		INTEGER NOT NULL,	-- attempts that sent nothing: the same content had been answered
	tokens_input	INTEGER NOT NULL,
	tokens_output	INTEGER NOT NULL,
	tokens_cached	INTEGER NOT NULL,
	settled_pusd	INTEGER NOT NULL,
	possibly_pusd	INTEGER NOT NULL,	-- of it only possibly billed
	PRIMARY KEY (day, backend, model, type)
) WITHOUT ROWID;

-- The rows of attempts stay as they are: to write each of them anew would take as much room again.
INSERT INTO usage
	SELECT closed_ms / 86400000, backend, coalesce(model, ''),
		coalesce((SELECT r.type FROM results r WHERE r.attempt = a.id),
			(SELECT CASE WHEN json_valid(j.json) THEN json_extract(j.json, '$.type') END
				FROM pages p JOIN jobs j ON j.id = p.job WHERE p.seq = a.page), '') AS t,
		count(*), sum(outcome = 'done'), sum(billed = 'possibly'), count(DISTINCT page), 0,
		coalesce(sum(tokens_input), 0), coalesce(sum(tokens_output), 0), coalesce(sum(tokens_cached), 0),
		coalesce(sum(settled_pusd), 0), coalesce(sum(settled_pusd * (billed = 'possibly')), 0)
	FROM attempts a WHERE closed_ms IS NOT NULL GROUP BY 1, 2, 3, t;

-- Signed heads of the chain: what it was up to a receipt, by the device's key (docs/architecture.md, "Receipts").
CREATE TABLE heads (
	id	INTEGER PRIMARY KEY,	-- 1, 2, 3, ...
	seq	INTEGER NOT NULL,	-- the last receipt that it vouches for
	body	TEXT NOT NULL,		-- canonical JSON, which is what is signed
	sig	TEXT NOT NULL		-- ECDSA on P-256 over its SHA-256: DER in base64; of a change of keys two, with a dot between
);
CREATE INDEX heads_seq ON heads (seq);

-- Documents of several pages: who brings them, and which page is asked with which.
ALTER TABLE documents ADD COLUMN name TEXT;
ALTER TABLE documents ADD COLUMN owner INTEGER;
CREATE UNIQUE INDEX documents_open ON documents (owner, name) WHERE closed = 0;
ALTER TABLE pages ADD COLUMN leader INTEGER;
CREATE INDEX pages_leader ON pages (leader, position, seq) WHERE leader IS NOT NULL;
CREATE TABLE attempt_pages (
	attempt		INTEGER NOT NULL REFERENCES attempts (id),
	place		INTEGER NOT NULL,	-- in the request, from 1
	page		INTEGER NOT NULL,	-- pages.seq, or gone.seq later
	rendering	TEXT,			-- as attempts.rendering
	PRIMARY KEY (attempt, place)
) WITHOUT ROWID;
CREATE INDEX attempt_pages_page ON attempt_pages (page);

PRAGMA user_version = 3;
