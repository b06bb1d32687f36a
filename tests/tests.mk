# Tests.  A unit test tests/unit/FOLDER_NAME.c is a program of its own, linked with what FOLDER links with.
# tests/run runs programs that print "ok", "not ok" and "skip" lines, and ends in "N passed, N failed, N skipped".

UNIT_SRC   := $(filter-out tests/unit/test.c,$(wildcard tests/unit/*.c))
UNIT_TESTS := $(UNIT_SRC:tests/unit/%.c=$(O)/tests/%)
unit_folder = $(firstword $(subst _, ,$(notdir $(1))))

define unit_test
$(1): $(O)/obj/tests/unit/$(notdir $(1)).o $(O)/obj/tests/unit/test.o \
		$(foreach f,$(NEED_$(call unit_folder,$(1))),$(call lib,$(f)))
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D) && $(CC) $$(ALLLDFLAGS) -o $$@ $$(filter %.o,$$^) $$(FAULT_OBJ) $$(call link_libs,$(call unit_folder,$(1)))
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_test,$(t))))

# Replay of the fuzz corpora: each tests/fuzz/FOLDER_NAME.c has LLVMFuzzerTestOneInput(); tests/fuzz/replay.c feeds it files.
FUZZ_SRC    := $(filter-out tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c))
FUZZ_REPLAY := $(FUZZ_SRC:tests/fuzz/%.c=$(O)/fuzz/%)
define fuzz_replay
$(1): $(O)/obj/tests/fuzz/$(notdir $(1)).o $(O)/obj/tests/fuzz/replay.o \
		$(foreach f,$(NEED_$(call unit_folder,$(1))),$(call lib,$(f)))
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D) && $(CC) $$(ALLLDFLAGS) -o $$@ $$(filter %.o,$$^) $$(FAULT_OBJ) $$(call link_libs,$(call unit_folder,$(1)))
endef
$(foreach t,$(FUZZ_REPLAY),$(eval $(call fuzz_replay,$(t))))

.PHONY: tests
tests: $(UNIT_TESTS) $(FUZZ_REPLAY)

# A fault at every call of the crash-prone sequences; in builds with VARIANT=fault.
SEQUENCE     := $(O)/tests/sequence
SEQUENCE_OBJ := $(patsubst %.c,$(O)/obj/%.o,$(wildcard tests/crash/*.c) tests/fault_io.c)
.PHONY: sequence
sequence: $(SEQUENCE)
$(SEQUENCE): $(SEQUENCE_OBJ) $(FAULT_OBJ) $(foreach f,$(NEED_daemon),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALLLDFLAGS) -o $@ $(SEQUENCE_OBJ) $(FAULT_OBJ) $(call link_libs,daemon)

# The signer as a filter, for other signers to be compared with (tests/sigv4-suite, tests/signer).
SIGN := $(O)/signer/sign
$(SIGN): $(O)/obj/tests/signer/sign.o $(foreach f,$(NEED_cloud),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALLLDFLAGS) -o $@ $(filter %.o,$^) $(FAULT_OBJ) $(call link_libs,cloud)
tests: $(SIGN)
SIGNER_SUITES := tests/signer/test_botocore.py

# The residency guard as a filter, for another judge.
ASK := $(O)/guard/ask
$(ASK): $(O)/obj/tests/guard/ask.o $(foreach f,$(NEED_cloud),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALLLDFLAGS) -o $@ $(filter %.o,$^) $(FAULT_OBJ) $(call link_libs,cloud)
tests: $(ASK)
GUARD_SUITES := tests/guard/test_oracle.py

# One exchange after another over the daemon's transport (tests/it/test_resets.py).
EXCHANGE := $(O)/exchange/exchange
$(EXCHANGE): $(O)/obj/tests/exchange/exchange.o $(foreach f,$(NEED_daemon),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALLLDFLAGS) -o $@ $(filter %.o,$^) $(FAULT_OBJ) $(call link_libs,daemon)
tests: $(EXCHANGE)

# The courier over virtual time (tests/sim): one program.  What it defines comes before what libdaemon has of the same name.
SIM := $(O)/sim/sim
$(SIM): $(patsubst %.c,$(O)/obj/%.o,$(wildcard tests/sim/*.c)) $(FAULT_OBJ) $(foreach f,$(NEED_daemon),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALLLDFLAGS) -o $@ $(filter %.o,$^) $(call link_libs,daemon)
SIM_SUITES := $(sort $(wildcard tests/sim/test_*.py))
.PHONY: sim sim-program
sim-program: $(SIM)
# make sim SEEDS="1 2 3" DAYS=20: these worlds; or N= of them from SEED= on.
sim: $(SIM)
	$(Q)N=$(N) SEED=$(SEED) DAYS=$(DAYS) $(SIM) $(SEEDS)

# The suites of Python programs; each prints the same lines.
IT_SUITES    := $(sort $(wildcard tests/it/test_*.py))
CRASH_SUITES := $(sort $(wildcard tests/crash/test_*.py))
FULL_SUITES  := $(sort $(wildcard tests/full/test_*.py))

check: all tests sim-program
	$(Q)$(MAKE) --no-print-directory VARIANT=fault all sequence sim-program
	$(Q)tests/run --build $(O) --fault build/$(ARCH)-fault build/$(ARCH)-fault/tests/sequence $(UNIT_TESTS) $(FUZZ_REPLAY) $(IT_SUITES) \
		$(CRASH_SUITES) $(SIM) $(SIM_SUITES) $(SIGNER_SUITES) $(GUARD_SUITES) tests/torture/test_volatile.py tests/tools/layering.py

# The unit tests and the corpora as compiled for another architecture, under emulation of its processor alone (cross/cross.mk).
# Loops over very many cases take steps there: test_stride().
.PHONY: check-arm64 check-armhf check-emulated sysroots
check-arm64 check-armhf:
	$(Q)$(MAKE) --no-print-directory ARCH=$(@:check-%=%) check-emulated
check-emulated: all tests
	$(Q)tests/run --build $(O) --fault build/$(ARCH)-fault --under '$(EMULATOR)' \
		$(UNIT_TESTS) $(FUZZ_REPLAY)
	$(Q)test $(ARCH) != arm64 || tests/tools/neon.py $(TRIPLET)-objdump $(O)/obj
# On a Debian 13 machine of arm64 with a live systemd and a virtual camera, in QEMU (cross/image.sh).
VM_SUITES := $(sort $(wildcard tests/vm/test_*.py))
# Sets what a time service sets in the kernel; for that machine.
SYNCHRONISED := $(O)/vm/synchronised
$(SYNCHRONISED): $(O)/obj/tests/vm/synchronised.o
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALLLDFLAGS) -o $@ $^
.PHONY: check-vm vm-programs
vm-programs: $(SYNCHRONISED)
check-vm:
	$(Q)$(MAKE) --no-print-directory ARCH=arm64 all vm-programs
	$(Q)tests/run --build build/arm64 --fault build/arm64-fault $(VM_SUITES)
sysroots:
	$(Q)cross/sysroot.sh arm64
	$(Q)cross/sysroot.sh armhf

check-full: check
	$(Q)$(MAKE) --no-print-directory check-full-only
# What check-full adds to check.
.PHONY: check-full-only
check-full-only:
	$(Q)$(MAKE) --no-print-directory VARIANT=asan all tests
	$(Q)PAGES=20000 tests/run --build build/$(ARCH)-asan --fault build/$(ARCH)-fault \
		$(UNIT_TESTS:$(O)/%=build/$(ARCH)-asan/%) $(FUZZ_REPLAY:$(O)/%=build/$(ARCH)-asan/%) $(IT_SUITES) $(FULL_SUITES)
	$(Q)$(MAKE) --no-print-directory VARIANT=fault sequence
	$(Q)FULL=1 CASES=100000 tests/run --build $(O) --fault build/$(ARCH)-fault build/$(ARCH)-fault/tests/sequence $(SIGNER_SUITES)

# Which lines and branches of the spool, ledger and courier files the suites reach: tests/tools/coverage.py says how much is enough.
COVERAGE_TESTS = $(UNIT_TESTS:$(O)/%=build/$(ARCH)-cov/%) build/$(ARCH)-cov/tests/sequence build/$(ARCH)-cov/sim/sim $(IT_SUITES) $(CRASH_SUITES) $(SIM_SUITES)
coverage:
	$(Q)$(MAKE) --no-print-directory VARIANT=cov all tests sequence sim-program
	$(Q)find build/$(ARCH)-cov -name '*.gcda' -delete
	$(Q)tests/run --build build/$(ARCH)-cov --fault build/$(ARCH)-cov $(COVERAGE_TESTS); ran=$$?; \
		tests/tools/coverage.py build/$(ARCH)-cov && exit $$ran

# Coverage-guided runs of every target (clang's libFuzzer, ASan, UBSan), TIME= seconds each; findings land in build/*-fuzz/findings.
# A finding is fixed and its input goes into tests/fuzz/corpus/TARGET/.
TIME ?= 60
define fuzz_target
$(1:$(O)/fuzz/%=$(O)/libfuzzer/%): $(O)/obj/tests/fuzz/$(notdir $(1)).o $(foreach f,$(NEED_$(call unit_folder,$(1))),$(call lib,$(f)))
	$$(call say,LD,$$@)
	$(Q)mkdir -p $$(@D) && $(CC) $$(ALLLDFLAGS) -fsanitize=fuzzer -o $$@ $$(filter %.o,$$^) $$(call link_libs,$(call unit_folder,$(1)))
endef
$(foreach t,$(FUZZ_REPLAY),$(eval $(call fuzz_target,$(t))))
.PHONY: fuzz-run
fuzz:
	$(Q)$(MAKE) --no-print-directory VARIANT=fuzz TIME=$(TIME) fuzz-run
fuzz-run: $(FUZZ_REPLAY:$(O)/fuzz/%=$(O)/libfuzzer/%)
	$(Q)for t in $(FUZZ_SRC:tests/fuzz/%.c=%); do \
		mkdir -p $(O)/corpus/$$t $(O)/findings; \
		$(O)/libfuzzer/$$t -max_total_time=$(TIME) -rss_limit_mb=1024 -timeout=20 -print_final_stats=1 \
			-artifact_prefix=$(O)/findings/$$t- $(O)/corpus/$$t tests/fuzz/corpus/$$t >$(O)/findings/$$t.log 2>&1 || \
			{ echo "not ok $$t: see $(O)/findings/$$t.log"; failed=1; continue; }; \
		sed -n "s/^stat::number_of_executed_units: */ok $$t: /p" $(O)/findings/$$t.log; \
	done; test -z "$$failed"

samples:
	$(Q)tests/samples/generate.py tests/samples/pages

# Before and after of what capture does to pages, for a person to agree with.
.PHONY: contact-sheet
contact-sheet: all
	$(Q)PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/lib PAGEFERRY_BUILD=$(abspath $(O)) tests/tools/contact_sheet.py $(O)/contact-sheet.png

demo: all
	$(Q)tests/tools/demo.py --build $(O)

bench: bench-imaging
	$(Q)tests/bench/bench.py --build $(O)
	$(Q)PAGEFERRY_BUILD=$(abspath $(O)) PYTHONPATH=tests/lib tests/full/test_backlog.py
# The page pipeline against its peers. QUICK=1: one page in a minute. SIZES= a4-300 a4-600 4k 13mp, PARTS= sizes looks memory raw tables.
.PHONY: bench-imaging
bench-imaging: all $(O)/bench/encode
	$(Q)PYTHONDONTWRITEBYTECODE=1 QUICK=$(QUICK) tests/bench/imaging.py --build $(O) $(if $(SIZES),--size $(SIZES)) $(if $(PARTS),--part $(PARTS))
# Instructions of a page on arm64, counted under emulation, against this machine's.
.PHONY: bench-fields
bench-fields: all
	$(Q)PYTHONDONTWRITEBYTECODE=1 tests/bench/fields.py --build $(O) $(SETTINGS)

.PHONY: bench-arm64 bench-arm64-only
bench-arm64: $(O)/pageferry-capture
	$(Q)$(MAKE) --no-print-directory ARCH=arm64 HERE=$(O) bench-arm64-only
bench-arm64-only: $(O)/pageferry-capture
	$(Q)PYTHONDONTWRITEBYTECODE=1 tests/bench/arm64.py --build $(HERE) --arm $(O) --emulator '$(EMULATOR)'
$(O)/bench/encode: $(O)/obj/tests/bench/encode.o $(foreach f,$(NEED_capture),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALLLDFLAGS) -o $@ $< $(FAULT_OBJ) $(call link_libs,capture)

# Power cuts (docs/reliability.md): N= random ones, STATES= flush boundaries of a recorded run on each of the file systems FS=.
# SEED= repeats the choices of a run. BUGS=1: planted bugs are caught; BUG=NAME: this one is planted and the run fails.
.PHONY: torture
torture: all
	$(Q)$(MAKE) --no-print-directory VARIANT=fault all
	$(Q)PYTHONDONTWRITEBYTECODE=1 tests/torture/torture.py --build $(O) --fault build/$(ARCH)-fault \
		--rounds $(or $(N),30) --states $(or $(STATES),0) --fs $(or $(FS),ext4 f2fs btrfs) \
		$(if $(SEED),--seed $(SEED)) $(if $(BUG),--bug $(BUG)) $(if $(BUGS),--bugs)
