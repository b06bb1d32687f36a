# ARCH= is another architecture than this machine's: Debian's cross compiler, and a sysroot with the libraries of Debian 13.

TRIPLET_amd64 := x86_64-linux-gnu
TRIPLET_arm64 := aarch64-linux-gnu
TRIPLET_armhf := arm-linux-gnueabihf
TRIPLET       := $(or $(TRIPLET_$(ARCH)),$(error ARCH=$(ARCH) is not known; expected amd64, arm64 or armhf))
MACHINE       := $(patsubst arm%,arm,$(firstword $(subst -, ,$(TRIPLET))))

SYSROOT := $(shell cross/sysroot.sh --path $(ARCH))
CC      := $(TRIPLET)-gcc
AR      := $(TRIPLET)-ar
SIZE    := $(TRIPLET)-size
# The compiler has headers and a C library of its own release beside it, which it would take before the sysroot's.
TARGET_CFLAGS  := --sysroot=$(SYSROOT) -isystem $(SYSROOT)/usr/include/$(TRIPLET) -isystem $(SYSROOT)/usr/include
TARGET_LDFLAGS := --sysroot=$(SYSROOT) -B$(SYSROOT)/usr/lib/$(TRIPLET) -L$(SYSROOT)/usr/lib/$(TRIPLET) \
                  -Wl,-rpath-link,$(SYSROOT)/usr/lib/$(TRIPLET)
ifeq ($(ARCH),armhf)
TARGET_CFLAGS  += -Wno-psabi
endif
# Runs a program of that architecture here: called by name, as nothing says that the kernel knows such programs.
EMULATOR := $(or $(shell command -v qemu-$(MACHINE) || command -v qemu-$(MACHINE)-static),qemu-$(MACHINE)) -L $(SYSROOT)

$(SYSROOT):
	$(Q)cross/sysroot.sh $(ARCH) >/dev/null
