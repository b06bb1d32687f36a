-- The spool's database, version 3.  SQLite, WAL, synchronous=FULL.  Money is picodollars (1e-12 USD), time is
-- milliseconds since 1970 with its trust beside it (untrusted, plausible, trusted).  Due times are computed, never stored.
PRAGMA application_id = 0x70666572;	-- "pfer"
PRAGMA user_version = 3;

CREATE TABLE meta (
	-- spool_id, created_ms, stamp_ms (last trusted); rebuilt: page files without rows are of the lost database;
	-- ledger_lost: paid backends wait for a person; keep_ms, keep_seen_ms, keep_boot, keep_boot_ms, keep_off: the keep clock (daemon/keep.h);
	-- budget_ms, budget_boot, budget_boot_ms: the budget's clock (daemon/budget.h);
	-- daily_head, daily_day: the last head that is in a daily file, and that one's day (daemon/daily.h);
	-- pages_bytes: what page files take; probes: changes when a commit is wanted that surely writes (daemon/room.c)
	key	TEXT PRIMARY KEY,
	value	TEXT NOT NULL
) WITHOUT ROWID;

-- Frozen lists of document types: the canonical JSON array that extract/doctype.h reads.
CREATE TABLE typesets (
	hash	TEXT PRIMARY KEY,	-- SHA-256 of json, hex
	json	TEXT NOT NULL
) WITHOUT ROWID;

-- Frozen jobs: type, typeset, route.  A change of configuration makes a new row and never alters an old one.
CREATE TABLE jobs (
	id	INTEGER PRIMARY KEY,
	hash	TEXT NOT NULL UNIQUE,	-- SHA-256 of json, hex
	json	TEXT NOT NULL,		-- {"v":1,"type":"auto","route":["sydney","ocr"],"typeset":HASH}
	typeset	TEXT NOT NULL REFERENCES typesets (hash)
);

CREATE TABLE documents (
	id		INTEGER PRIMARY KEY,
	document	TEXT NOT NULL UNIQUE,
	created_ms	INTEGER NOT NULL,
	closed		INTEGER NOT NULL DEFAULT 1,	-- no more pages will come
	name		TEXT,				-- as whoever brings its pages calls it while it is open; NULL: of one page
	owner		INTEGER				-- uid of whoever that is; -1 unknown
);
CREATE UNIQUE INDEX documents_open ON documents (owner, name) WHERE closed = 0;

CREATE TABLE pages (
	seq		INTEGER PRIMARY KEY AUTOINCREMENT,	-- order of acceptance
	page		TEXT NOT NULL UNIQUE,			-- "20261121T031205-7kq2mx"
	document	INTEGER NOT NULL REFERENCES documents (id),
	position	INTEGER NOT NULL,			-- in the document, from 1
	job		INTEGER NOT NULL REFERENCES jobs (id),
	lane		INTEGER NOT NULL CHECK (lane IN (0, 1)),	-- 0: scanned now, 1: backlog
	state		TEXT NOT NULL CHECK (state IN ('queued', 'provisional', 'done', 'held')),
	reason		TEXT,					-- why it is held; NULL in other states
	accepted_ms	INTEGER NOT NULL,
	accepted_trust	TEXT NOT NULL,
	source		TEXT NOT NULL,				-- "scan", "file", "watch", ...
	name		TEXT,					-- as the submitter called it; not trusted
	owner		INTEGER,				-- uid of the submitter
	sha256		TEXT NOT NULL,				-- of the page file, hex
	bytes		INTEGER NOT NULL,
	width		INTEGER NOT NULL,
	height		INTEGER NOT NULL,
	capture		TEXT,					-- JSON: what the capture helper says it did
	rung		INTEGER NOT NULL DEFAULT 0,		-- first backend of the route that may still be asked; -1: it is not asked for
								-- itself: it has a leader, or its document is still open
	tries		INTEGER NOT NULL DEFAULT 0,		-- attempts that count, since the last retry by a person
	retried		INTEGER NOT NULL DEFAULT 0,		-- newest attempt at that retry: it and older ones no longer count
	tried_ms	INTEGER NOT NULL DEFAULT 0,		-- stamp of the last attempt that counts
	tried_boot	TEXT,					-- boot id under which tried_boot_ms is boottime
	tried_boot_ms	INTEGER,
	version		INTEGER NOT NULL DEFAULT 0,		-- of the current result; 0: none
	kept_ms		INTEGER,				-- keep clock when the last of its results was delivered; NULL: not yet
	file		INTEGER NOT NULL DEFAULT 1 CHECK (file IN (0, 1)),	-- 0: its file has aged out (KeepPages=)
	leader		INTEGER,				-- the page (seq) in whose requests and results it is, and whose state it has
	content		TEXT,					-- SHA-256 of the page file without our comment; NULL: of version 2
	again		INTEGER NOT NULL DEFAULT 0,		-- 1: it is paid for even if the same content was answered before
	CHECK ((state = 'held') = (reason IS NOT NULL))
);
CREATE INDEX pages_due ON pages (state, lane, job, rung, tries, tried_ms, seq);
CREATE INDEX pages_state ON pages (state, seq);
CREATE INDEX pages_document ON pages (document, position);
CREATE INDEX pages_sha256 ON pages (sha256);
CREATE INDEX pages_owner ON pages (owner) WHERE state IN ('queued', 'provisional');	-- a submitter's share
CREATE INDEX pages_content ON pages (content) WHERE content IS NOT NULL AND version > 0;	-- the same, with an answer
CREATE INDEX pages_kept ON pages (kept_ms) WHERE kept_ms IS NOT NULL;
CREATE INDEX pages_kept_file ON pages (kept_ms) WHERE kept_ms IS NOT NULL AND file = 1;
CREATE INDEX pages_leader ON pages (leader, position, seq) WHERE leader IS NOT NULL;

-- Pages that are no longer kept: aged out (KeepResults=) or dropped by a person.  Their attempts and receipts stay.
CREATE TABLE gone (
	seq		INTEGER PRIMARY KEY,	-- as it was in pages
	page		TEXT NOT NULL UNIQUE,
	sha256		TEXT NOT NULL,
	accepted_ms	INTEGER NOT NULL,
	gone_ms		INTEGER NOT NULL,
	reason		TEXT NOT NULL		-- "aged out", "dropped by uid 1000: blank page"
);

-- Files of watched folders that were taken and may still lie there: in the commit that accepted the page, so that a
-- crash takes none twice.
CREATE TABLE taken (
	folder	TEXT NOT NULL,		-- name of the [Watch] section
	name	TEXT NOT NULL,
	stamp	TEXT NOT NULL,		-- size and mtime: "52133:1795238000.120000000"
	page	TEXT NOT NULL,		-- the page's id; "" when the file was refused
	PRIMARY KEY (folder, name)
) WITHOUT ROWID;

-- One row a request to a backend.  closed_ms IS NULL: open; found open at start, it was cut off by a crash.
CREATE TABLE attempts (
	id		INTEGER PRIMARY KEY AUTOINCREMENT,
	page		INTEGER NOT NULL,	-- pages.seq, or gone.seq later; 0: it was about none (the doctor's)
	backend		TEXT NOT NULL,
	model		TEXT,
	region		TEXT,
	host		TEXT,
	opened_ms	INTEGER NOT NULL,
	opened_trust	TEXT NOT NULL,
	reserved_pusd	INTEGER NOT NULL,	-- worst case; counts as spent while open
	closed_ms	INTEGER,
	outcome		TEXT CHECK (outcome IN ('done', 'next', 'retry', 'reject', 'untouched', 'crashed')),
	reason		TEXT,
	message		TEXT,
	charged		INTEGER NOT NULL DEFAULT 0,	-- counts as a try of the page
	billed		TEXT CHECK (billed IN ('no', 'yes', 'possibly')),
	settled_pusd	INTEGER,
	tokens_input	INTEGER,
	tokens_output	INTEGER,
	tokens_cached	INTEGER,
	request_id	TEXT,
	http_status	INTEGER,
	duration_ms	INTEGER,
	day		INTEGER,	-- of its end, in days since 1970: its row in usage; NULL: open, or of version 2 (UTC, closed_ms)
	type		TEXT,		-- of the document, as it counts in usage
	rendering	TEXT,		-- JSON: what went in the page's place, or why nothing did; NULL: the page, as accepted
	next_step	INTEGER,	-- it was too large: how small it must be at least (daemon/render.h); NULL: it was not
	priced		TEXT,		-- Date= of the price that it is reserved and settled by; NULL: none, or not told
	CHECK ((closed_ms IS NULL) = (outcome IS NULL))
);
CREATE INDEX attempts_page ON attempts (page);
CREATE INDEX attempts_open ON attempts (id) WHERE closed_ms IS NULL;

-- The pages of a request that has several, the first (attempts.page) too.
CREATE TABLE attempt_pages (
	attempt		INTEGER NOT NULL REFERENCES attempts (id),
	place		INTEGER NOT NULL,	-- in the request, from 1
	page		INTEGER NOT NULL,	-- pages.seq, or gone.seq later
	rendering	TEXT,			-- as attempts.rendering
	PRIMARY KEY (attempt, place)
) WITHOUT ROWID;
CREATE INDEX attempt_pages_page ON attempt_pages (page);

-- What attempts that have ended come to, by day; kept in the commits that close them, so that a day's cost takes as long with
-- 100,000 pages as with ten.  It can be counted again from attempts.
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

-- Each version is written once; a later one supersedes it, both stay.
CREATE TABLE results (
	page		INTEGER NOT NULL REFERENCES pages (seq),
	version		INTEGER NOT NULL,
	attempt		INTEGER NOT NULL UNIQUE REFERENCES attempts (id),
	authoritative	INTEGER NOT NULL,	-- 0: a fallback's, provisional
	type		TEXT NOT NULL,
	created_ms	INTEGER NOT NULL,
	json		TEXT NOT NULL,		-- docs/result.schema.json
	raw		TEXT NOT NULL,		-- what the backend said
	PRIMARY KEY (page, version)
) WITHOUT ROWID;

-- A hash chain: hash = SHA-256(previous hash as 64 hex digits, "\n", body).  The first row's previous hash is 64 zeros.
CREATE TABLE receipts (
	seq	INTEGER PRIMARY KEY AUTOINCREMENT,
	attempt	INTEGER NOT NULL REFERENCES attempts (id),
	kind	TEXT NOT NULL CHECK (kind IN ('sent', 'answered', 'crashed')),
	body	TEXT NOT NULL,		-- canonical JSON: docs/architecture.md, "Receipts"
	hash	TEXT NOT NULL UNIQUE
);
CREATE INDEX receipts_attempt ON receipts (attempt);

-- Signed heads of the chain: what it was up to a receipt, by the device's key (docs/architecture.md, "Receipts").
CREATE TABLE heads (
	id	INTEGER PRIMARY KEY,	-- 1, 2, 3, ...
	seq	INTEGER NOT NULL,	-- the last receipt that it vouches for
	body	TEXT NOT NULL,		-- canonical JSON, which is what is signed
	sig	TEXT NOT NULL		-- ECDSA on P-256 over its SHA-256: DER in base64; of a change of keys two, with a dot between
);
CREATE INDEX heads_seq ON heads (seq);

-- One row for each result version and sink.
CREATE TABLE deliveries (
	id		INTEGER PRIMARY KEY AUTOINCREMENT,
	page		INTEGER NOT NULL,
	version		INTEGER NOT NULL,
	sink		TEXT NOT NULL,		-- "results": the folder results/
	tries		INTEGER NOT NULL DEFAULT 0,
	tried_ms	INTEGER NOT NULL DEFAULT 0,
	done_ms		INTEGER,		-- NULL: to be delivered
	error		TEXT,
	UNIQUE (page, version, sink),
	FOREIGN KEY (page, version) REFERENCES results (page, version)
);
CREATE INDEX deliveries_due ON deliveries (tries, tried_ms, id) WHERE done_ms IS NULL;
