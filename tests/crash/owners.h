/*
 * Which suites reach which steps of base/step.h, by the start of their names; the first that fits counts. "kill" is
 * tests/crash/test_kill.py: the real service, killed at each step; "sequence" is tests/crash/sequence.c: the daemon's functions,
 * with a fault at every call; "watch" is tests/crash/test_watch.py,
 * "export" tests/crash/test_export.py, "heads" tests/crash/test_heads.py. A step that belongs to none, or that an owner never
 * reaches, fails.
 */
#pragma once

#define STEP_OWNERS(X)                          \
	X("accept.announced", "kill")           \
	X("accept.", "kill sequence")           \
	X("send.started", "kill")               \
	X("send.rendered", "kill")              \
	X("send.", "kill sequence")             \
	X("answer.", "kill sequence")           \
	X("deliver.", "kill sequence")          \
	X("helper.", "kill")                    \
	X("age.", "sequence")                   \
	X("head.", "heads")                     \
	X("daily.", "sequence")                 \
	X("drop.", "sequence")                  \
	X("export.", "export")                 \
	X("setaside.", "sequence")              \
	X("rebuild.", "sequence")               \
	X("migrate.", "sequence")               \
	X("document.", "sequence")              \
	X("watch.", "watch")
