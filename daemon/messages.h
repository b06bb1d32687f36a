/*
 * Message ids of the journal: stable, so that a watch on them survives a change of words. docs/messages.md is the catalog; a test
 * keeps both the same. An id is never used again for something else. New ones: systemd-id128 new.
 */
#pragma once

#define MESSAGE_READY            "632b2e64a0e847339db0e25064123749"
#define MESSAGE_PAGE_ACCEPTED    "14c36d4e4ce944369ca94922e53f6104"
#define MESSAGE_PAGE_HELD        "967611528f834d00b6439d9cf7fbd694"
#define MESSAGE_PAGE_LOST        "e447c47f531541f995ae7b4a4f8b0f9b"
#define MESSAGE_PAGE_DROPPED     "2e4844ac9329460fa748f224a2bdae28"
#define MESSAGE_BACKEND_DOWN     "1453e900f0634a5c9d6163173c59a769"
#define MESSAGE_BACKEND_UP       "e65ede5d0d0346ea997262612a091607"
#define MESSAGE_STORAGE_FAILED   "e88b0d8ab452491089b0e7e293fb208c"
#define MESSAGE_SPOOL_SET_ASIDE  "d8a0bca9489b46379abaf25b1da1cb80"
#define MESSAGE_SCAN_REFUSED     "61ead62f391c442a8b2bf370be5af88a"
#define MESSAGE_NO_ROOM          "acf44313235648e0960d8fe6396d8534"
#define MESSAGE_ROOM             "6644dc36498949ce8f3ba066509a80fd"
#define MESSAGE_AGED_OUT         "b6e527bd77444abdbf641d5b13ebae6d"
#define MESSAGE_RECEIPTS_SIGNED   "6dfa2d1d38d644e2b08597efe4f8816c"
#define MESSAGE_RECEIPTS_UNSIGNED "e0e18e46f35940dab06c15a9cd9b1a1f"
#define MESSAGE_RECEIPTS_OLDER    "1b0c4d00d65f4cdfbc9243a93dbbb76f"
#define MESSAGE_RECEIPTS_NO_FILE  "1222be6a1dc6422091d7ba3519fa6fa2"
#define MESSAGE_RECEIPTS_KEY_LOST "703ddaa46bbc46cea2e7fa32b13f0253"
#define MESSAGE_ATTEMPT_CRASHED  "81c0be89d47a4bf9b24c481d4b3cfd62"
#define MESSAGE_RESOLVED         "a7ce714d9a2d40fab382cf8f4aac29ed"
#define MESSAGE_RESIDENCY_DENIED "fc1600a2673c4f1d84a468e0ccb6c59f"
#define MESSAGE_SCANNER_TROUBLE  "f1d95a62b89a43efbc68fdb0e53e7f79"
#define MESSAGE_SCANNER_WELL     "38fa31daf7bd4f17b0d95afc9b1b02e6"
#define MESSAGE_WATCH_TROUBLE    "67a6e6ccbf004a338d4d899464b4968a"
#define MESSAGE_WATCH_WELL       "caa5b6e756bd424e94460c34cb62894c"
#define MESSAGE_WATCH_REJECTED   "fdd300ada82d4d808e5d4f206c3d6c21"
