# pageferry: one non-recursive Makefile.  `make help` lists the targets; V=1 shows the commands.
#
#   VARIANT=   empty: release.  asan: ASan+UBSan.  fault: with the step faults of tests/fault.c (never installed).
#              cov: the same, with gcc's counters in daemon/
#   ARCH=      this machine's, or arm64 or armhf: compiled for that one (cross/)

HOST     := $(shell dpkg --print-architecture 2>/dev/null || uname -m)
ARCH     := $(HOST)
VARIANT  ?=
O        := build/$(ARCH)$(if $(VARIANT),-$(VARIANT))
VERSION  := $(shell cat VERSION)
DESTDIR  ?=
PREFIX   ?= /usr
V        ?= 0
Q        := $(if $(filter 1,$(V)),,@)
silent   := $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say       = $(if $(filter 1,$(V))$(silent),,@printf '  %-7s %s\n' $(1) '$(2)')

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
            -Wformat=2 -Wundef -Wvla -Wno-unused-parameter -Werror=implicit-function-declaration
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
OPT      ?= -O2
CFLAGS   ?= $(OPT) -g
ALLCFLAGS = -std=gnu17 $(WARN) $(WERROR) $(HARDEN) -ffunction-sections -fdata-sections $(CFLAGS) $(VARFLAGS) \
            -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -DPAGEFERRY_VERSION='"$(VERSION)"' \
            -DPAGEFERRY_DATADIR='"$(PREFIX)/share/pageferry"' -DPAGEFERRY_LIBEXECDIR='"$(PREFIX)/libexec/pageferry"' \
            -I. -I$(O)/gen $(TARGET_CFLAGS)
ALLLDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed $(TARGET_LDFLAGS) $(LDFLAGS) $(VARFLAGS)
SIZE     := size
ifneq ($(ARCH),$(HOST))
include cross/cross.mk
endif
# The clock's floor (seconds): the day of the last commit, so that a build can be made again bit by bit.
BUILD_DATE := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),1780000000)

ifeq ($(VARIANT),asan)
VARFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -U_FORTIFY_SOURCE
endif
ifeq ($(VARIANT),fault)
VARFLAGS := -DPAGEFERRY_FAULTS
endif
ifeq ($(VARIANT),cov)
VARFLAGS := -DPAGEFERRY_FAULTS
# What ends at once writes its counters itself (tests/fault.c, tests/sim/main.c): a weak reference alone does not link that.
LDFLAGS  += --coverage -Wl,-u,__gcov_dump
# Only what is measured: the helpers keep their pace.
$(O)/obj/daemon/%.o: VARFLAGS += -O0 --coverage -U_FORTIFY_SOURCE
endif
ifeq ($(VARIANT),fuzz)
CC       := clang
VARFLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -U_FORTIFY_SOURCE
endif

# ---- what is built: a folder is a library, and a program if it has a main.c --------------------------------------------
FOLDERS  := base hal extract cloud capture ocr daemon ctl
PROGRAMS := $(O)/pageferryd $(O)/pageferry-capture $(O)/pageferry-ocr $(O)/pageferryctl

srcs      = $(filter-out %/main.c,$(wildcard $(1)/*.c))
objs      = $(patsubst %.c,$(O)/obj/%.o,$(1))
lib       = $(O)/lib/lib$(1).a
LIBS     := $(foreach f,$(FOLDERS),$(call lib,$(f)))

# What a folder links with: project libraries in order, then the system's.
NEED_base    := base
NEED_hal     := hal base
NEED_extract := extract base
NEED_cloud   := cloud extract base
NEED_capture := capture base
NEED_ocr     := ocr base
NEED_daemon  := daemon hal cloud extract base
NEED_ctl     := ctl base
SYS_base     := -lcjson -linih -lmbedx509 -lmbedcrypto -lsystemd -lm
SYS_cloud    := -lcurl
SYS_capture  := -ljpeg -lpng
SYS_ocr      := -ltesseract -ljpeg
SYS_daemon   := -lsqlite3 -lcurl
link_libs     = $(foreach f,$(NEED_$(1)),$(call lib,$(f))) $(SYS_$(1)) $(SYS_base)

.PHONY: all help check check-full coverage bench install layering size lint format clean demo fuzz samples
.DEFAULT_GOAL := all
all: $(PROGRAMS)

help:
	@echo "make [all]        the programs, into $(O)/"
	@echo "make check        unit tests, services on loopback, kills at every step, corpora: 6 to 7 minutes on 2 cores"
	@echo "make check-full   the same under ASan+UBSan, and the long suites"
	@echo "make ARCH=arm64   or armhf: cross-compiled against Debian 13 (make sysroots: what for, made once)"
	@echo "make check-arm64 check-armhf   unit tests and corpora of those, under emulation of the processor"
	@echo "make check-vm     the installed units on a Debian 13 machine of arm64 in QEMU, and pages out of its virtual camera"
	@echo "make sim SEEDS=    the courier over weeks of virtual time; or N= worlds from SEED= on, DAYS= of bad times each"
	@echo "make torture      power cuts on a virtual machine: N=30 SEED= FS=\"ext4 f2fs btrfs\" STATES=0 BUGS="
	@echo "make fuzz TIME=60 every fuzz target for so many seconds"
	@echo "make coverage     lines and branches of the spool, ledger and courier files that the suites reach"
	@echo "make bench        figures for docs/benchmarks.md, as ratios against named peers"
	@echo "make bench-imaging SIZES= PARTS= QUICK=1: of it the page pipeline against vips, Pillow, ImageMagick; QUICK: in a minute"
	@echo "make bench-fields SETTINGS=\"Square=no Square=yes\"   fields that the OCR gets right on drawn pages, by setting of [Capture]"
	@echo "make contact-sheet  before and after of crop, deskew, flatten, gate and blank decisions, as a picture"
	@echo "make bench-arm64  instructions of a page on arm64, counted under emulation, against this machine's"
	@echo "make demo         the sample pages through a private service, offline"
	@echo "make install DESTDIR= PREFIX=/usr"
	@echo "make layering lint size format samples clean"

$(O)/pageferryd: $(O)/obj/daemon/main.o $(foreach f,$(NEED_daemon),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $< $(FAULT_OBJ) $(call link_libs,daemon)
$(O)/pageferry-capture: $(O)/obj/capture/main.o $(foreach f,$(NEED_capture),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $< $(FAULT_OBJ) $(call link_libs,capture)
$(O)/pageferry-ocr: $(O)/obj/ocr/main.o $(foreach f,$(NEED_ocr),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $< $(FAULT_OBJ) $(call link_libs,ocr)
$(O)/pageferryctl: $(O)/obj/ctl/main.o $(foreach f,$(NEED_ctl),$(call lib,$(f)))
	$(call say,LD,$@)
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $< $(call link_libs,ctl)
ifneq ($(filter fault cov,$(VARIANT)),)
FAULT_OBJ := $(O)/obj/tests/fault.o
$(PROGRAMS): $(FAULT_OBJ)
endif

define folder_lib
$(call lib,$(1)): $(call objs,$(call srcs,$(1)))
	$(call say,AR,$$@)
	$(Q)mkdir -p $$(@D) && rm -f $$@ && $(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_lib,$(f))))

$(O)/obj/%.o: %.c Makefile VERSION | $(SYSROOT)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALLCFLAGS) $(FAST) -MMD -MP -c -o $@ $<
# The few loops that take the time: -O2 does not unroll the small loops over what is in registers.
$(patsubst %.c,$(O)/obj/%.o,$(wildcard capture/kernels_*.c)): FAST := -O3

# Text files compiled in, one C string a line.
GEN := $(O)/gen/schema.sql.h $(O)/gen/migrate3.sql.h $(O)/gen/io.pageferry.varlink.h
$(O)/gen/schema.sql.h: daemon/schema.sql
$(O)/gen/migrate3.sql.h: daemon/migrate3.sql
$(O)/gen/io.pageferry.varlink.h: configs/io.pageferry.varlink
$(GEN):
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D) && sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$$/\\n"/' $< > $@
$(call objs,$(call srcs,daemon)): | $(GEN)

# Written only when the commit changes: what includes it is then built again, all of it or nothing.
BUILD_DATE_H := $(O)/gen/build-date.h
.PHONY: force
$(BUILD_DATE_H): force
	$(Q)mkdir -p $(@D) && echo '#define PAGEFERRY_BUILD_DATE $(BUILD_DATE)' | cmp -s - $@ || \
		echo '#define PAGEFERRY_BUILD_DATE $(BUILD_DATE)' > $@
$(O)/obj/base/clock.o $(O)/obj/tests/unit/base_clock.o: $(BUILD_DATE_H)

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)

include tests/tests.mk

# ---- install --------------------------------------------------------------------------------------------------------
install: all
	install -D -m755 $(O)/pageferryd $(DESTDIR)$(PREFIX)/libexec/pageferry/pageferryd
	install -D -m755 -t $(DESTDIR)$(PREFIX)/libexec/pageferry $(O)/pageferry-capture $(O)/pageferry-ocr
	install -D -m755 $(O)/pageferryctl $(DESTDIR)$(PREFIX)/bin/pageferryctl
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/pageferry/documents configs/documents/*.json
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/pageferry configs/prices.conf configs/io.pageferry.varlink
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/pageferry/iam configs/iam/*.json
	install -D -m644 configs/pageferry.conf $(DESTDIR)/etc/pageferry/pageferry.conf
	install -D -m644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/*.service systemd/*.socket
	install -D -m644 systemd/pageferry.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/pageferry.conf
	install -D -m644 systemd/pageferry.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/pageferry.conf
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/*.1
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man5 docs/*.5
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/*.8

# ---- care -----------------------------------------------------------------------------------------------------------
CSOURCES = $(wildcard $(addsuffix /*.c,$(FOLDERS)) tests/*.c tests/*/*.c)
layering:
	$(Q)tests/tools/layering.py
size: all
	$(Q)$(SIZE) $(PROGRAMS)
lint: layering $(GEN) $(BUILD_DATE_H)
	$(Q)tests/tools/lint.sh $(filter-out -D_FORTIFY_SOURCE=2 -g,$(ALLCFLAGS))
format:
	$(Q)clang-format -i $(CSOURCES) $(wildcard $(addsuffix /*.h,$(FOLDERS)))
clean:
	rm -rf build
