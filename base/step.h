/*
 * The crash-prone sequences as named steps. STEP(X) marks "everything before X's name has happened". In builds with
 * PAGEFERRY_FAULTS (tests only) tests/fault.c can kill the process at any step; in all others STEP() is nothing.
 * The crash suites enumerate this list: a step that is added here needs an owner in tests/crash/owners.h, and one that its
 * owner does not reach fails it.
 */
#pragma once

#define STEPS(X)                                                               \
	/* accept: daemon/accept.c */                                          \
	X(ACCEPT_TMP_CREATED, "accept.tmp-created")                            \
	X(ACCEPT_PARTLY_WRITTEN, "accept.partly-written")                      \
	X(ACCEPT_WRITTEN, "accept.written")                                    \
	X(ACCEPT_SYNCED, "accept.synced")                                      \
	X(ACCEPT_RENAMED, "accept.renamed")                                    \
	X(ACCEPT_DIR_SYNCED, "accept.dir-synced")                              \
	X(ACCEPT_ROW_INSERTED, "accept.row-inserted")                          \
	X(ACCEPT_COMMITTED, "accept.committed")                                \
	X(ACCEPT_ANNOUNCED, "accept.announced")                                \
	/* a watched folder's file, before and after accept.*: daemon/watch_finish.c */ \
	X(WATCH_STARTED, "watch.started")                                      \
	X(WATCH_MOVED, "watch.moved")                                          \
	X(WATCH_ROW_REMOVED, "watch.row-removed")                              \
	X(WATCH_REASON_WRITTEN, "watch.reason-written")                        \
	X(WATCH_REFUSED_MOVED, "watch.refused-moved")                          \
	X(WATCH_REFUSED_NOTED, "watch.refused-noted")                          \
	/* send: daemon/courier_render.c, ledger.c, courier_attempt.c */        \
	X(SEND_RENDERED, "send.rendered")                                      \
	X(SEND_RESERVED, "send.reserved")                                      \
	X(SEND_COMMITTED, "send.committed")                                    \
	X(SEND_STARTED, "send.started")                                        \
	/* answer: daemon/ledger.c */                                          \
	X(ANSWER_RECEIVED, "answer.received")                                  \
	X(ANSWER_RESULT_INSERTED, "answer.result-inserted")                    \
	X(ANSWER_ATTEMPT_CLOSED, "answer.attempt-closed")                      \
	X(ANSWER_RECEIPT_INSERTED, "answer.receipt-inserted")                  \
	X(ANSWER_COMMITTED, "answer.committed")                                \
	/* deliver: daemon/delivery.c */                                       \
	X(DELIVER_TMP_WRITTEN, "deliver.tmp-written")                          \
	X(DELIVER_RENAMED, "deliver.renamed")                                  \
	X(DELIVER_COMMITTED, "deliver.committed")                              \
	/* signed heads of the receipts: daemon/heads.c */                     \
	X(HEAD_KEY_HALF, "head.key-half")                                      \
	X(HEAD_KEY_WRITTEN, "head.key-written")                                \
	X(HEAD_KEY_RENAMED, "head.key-renamed")                                \
	X(HEAD_KEY_CHANGED, "head.key-changed")                                \
	X(HEAD_SIGNED, "head.signed")                                          \
	X(HEAD_COMMITTED, "head.committed")                                    \
	/* files of days: daemon/daily.c */                                    \
	X(DAILY_HALF, "daily.half")                                            \
	X(DAILY_WRITTEN, "daily.written")                                      \
	X(DAILY_RENAMED, "daily.renamed")                                      \
	X(DAILY_COMMITTED, "daily.committed")                                  \
	X(DAILY_REMOVED, "daily.removed")                                      \
	/* set aside: daemon/spool.c, daemon/quarantine.c */                   \
	X(SETASIDE_MARKED, "setaside.marked")                                  \
	X(SETASIDE_REASON_WRITTEN, "setaside.reason-written")                  \
	X(SETASIDE_WAL_MOVED, "setaside.wal-moved")                            \
	X(SETASIDE_MOVED, "setaside.moved")                                    \
	/* rebuild: daemon/spool.c, daemon/adopt.c, daemon/reconcile.c */      \
	X(REBUILD_DATABASE_MADE, "rebuild.database-made")                      \
	X(REBUILD_META_SET, "rebuild.meta-set")                                \
	X(REBUILD_META_COMMITTED, "rebuild.meta-committed")                    \
	X(REBUILD_MARK_REMOVED, "rebuild.mark-removed")                        \
	X(REBUILD_PAGE_INSERTED, "rebuild.page-inserted")                      \
	X(REBUILD_PAGE_COMMITTED, "rebuild.page-committed")                    \
	X(REBUILD_FINISHED, "rebuild.finished")                                \
	/* a document of several pages is ended, or split: daemon/document.c */ \
	X(DOCUMENT_MARKED, "document.marked")                                  \
	X(DOCUMENT_COMMITTED, "document.committed")                            \
	/* an older database: daemon/db.c */                                   \
	X(MIGRATE_CHANGED, "migrate.changed")                                  \
	X(MIGRATE_COMMITTED, "migrate.committed")                              \
	/* age out, drop: daemon/keep.c */                                     \
	X(AGE_MARKED, "age.marked")                                            \
	X(AGE_COMMITTED, "age.committed")                                      \
	X(AGE_FILE_REMOVED, "age.file-removed")                                \
	X(AGE_RESULT_REMOVED, "age.result-removed")                            \
	X(DROP_MARKED, "drop.marked")                                          \
	X(DROP_COMMITTED, "drop.committed")                                    \
	X(DROP_FILE_REMOVED, "drop.file-removed")                              \
	X(DROP_RESULT_REMOVED, "drop.result-removed")                          \
	/* export: daemon/maintain_export.c */                                 \
	X(EXPORT_PAGE_COPIED, "export.page-copied")                            \
	X(EXPORT_MANIFEST_WRITTEN, "export.manifest-written")                  \
	X(EXPORT_FOLDERS_SYNCED, "export.folders-synced")                      \
	X(EXPORT_MANIFEST_RENAMED, "export.manifest-renamed")                  \
	/* helpers: capture/main.c, ocr/main.c */                              \
	X(HELPER_STARTED, "helper.started")                                    \
	X(HELPER_HALFWAY, "helper.halfway")                                    \
	X(HELPER_FINISHED, "helper.finished")

enum step {
#define STEP_ENUM(id, name) STEP_##id,
	STEPS(STEP_ENUM)
#undef STEP_ENUM
		STEP_COUNT
};

#ifdef PAGEFERRY_FAULTS
/* Defined in tests/fault.c. */
void step_reached(enum step s);
#define STEP(id) step_reached(STEP_##id)
/* Is the named bug planted? ("accept-no-fsync", ...): the suites must catch it. */
int bug_planted(const char *name);
#define BUG(name) bug_planted(name)
#else
#define STEP(id) ((void)0)
#define BUG(name) 0
#endif
