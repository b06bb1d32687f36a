/*
 * A plugin for qemu-user that counts the guest's instructions and prints them as callgrind does: no count of ours depends
 * on the machine that it runs on. QEMU's header is in no package, so what is used of it is declared here
 * (docs/devel/tcg-plugins of QEMU; PLUGIN_VERSION is 1 up to QEMU 8, as in Debian 12).
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*cb)(plugin_id id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(
	struct qemu_plugin_tb *tb, void (*cb)(unsigned int cpu, void *ud), int flags, void *ud);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*cb)(plugin_id id, void *ud), void *ud);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

static uint64_t count;

static void on_run(unsigned int cpu, void *ud)
{
	count += (uintptr_t)ud;
}

static void on_translated(plugin_id id, struct qemu_plugin_tb *tb)
{
	qemu_plugin_register_vcpu_tb_exec_cb(tb, on_run, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(tb));
}

static void on_exit_of_all(plugin_id id, void *ud)
{
	fprintf(stderr, "Collected : %" PRIu64 "\n", count);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
	qemu_plugin_register_atexit_cb(id, on_exit_of_all, NULL);
	return 0;
}
