"""Runs the functions of a test program that are named test_*: "ok NAME", "not ok NAME: why" or "skip NAME: why" on standard output."""
import inspect
import sys
import traceback


class Skip(Exception):
    pass


def main(module="__main__"):
    m = sys.modules[module]
    wanted = sys.argv[1:]
    failed = 0
    for name, fn in list(vars(m).items()):
        if not name.startswith("test_") or not inspect.isfunction(fn) or (wanted and name not in wanted):
            continue
        try:
            fn()
            print("ok " + name, flush=True)
        except Skip as s:
            print("skip %s: %s" % (name, s), flush=True)
        except Exception as e:  # a test that breaks is a test that fails
            failed = 1
            traceback.print_exc(file=sys.stdout)
            print("not ok %s: %s: %s" % (name, type(e).__name__, e), flush=True)
    sys.exit(failed)
