/* The configuration reader: whatever it is fed, it either takes it without a word or refuses it with one. */
#include "base/ini.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct settings {
	char dir[32], text[32], name[33];
	int64_t size, time, number;
	int choice;
	bool yes;
};

static const char *const names[] = {"one", "two", NULL};
static const struct ini_key keys[] = {
	{"Spool", "Directory", ini_parse_path, offsetof(struct settings, dir), &(struct ini_string){32}, "/a",
		"A."},
	{"Spool", "Size", ini_parse_bytes, offsetof(struct settings, size), &(struct ini_range){1, 1 << 30},
		"1M", "B."},
	{"Service", "Time", ini_parse_duration_ms, offsetof(struct settings, time), NULL, "1s", "C."},
	{"Service", "Yes", ini_parse_boolean, offsetof(struct settings, yes), NULL, "no", "D."},
	{"Backend *", "Choice", ini_parse_choice, offsetof(struct settings, choice),
		&(struct ini_enum){names}, "one", "E."},
	{"Backend *", "Text", ini_parse_text, offsetof(struct settings, text), &(struct ini_string){32}, NULL,
		"F."},
	{"Backend *", "Number", ini_parse_int64, offsetof(struct settings, number), NULL, "0", "G."},
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void *section(void *ud, const char *row, const char *name, char *why, size_t size)
{
	struct settings *s = ud;

	if (!name)
		return &s[0];
	return str_copy(s[1].name, sizeof(s[1].name), name) < 0 ? NULL : &s[1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings s[2] = {};
	const struct ini_table t = {.keys = keys, .n_keys = ARRAY_SIZE(keys), .section = section, .ud = s};
	_cleanup_buf_ struct buf errors = {};
	int r;

	ini_defaults(&t);
	r = ini_read_text(&t, "fuzz", (const char *)data, size, &errors);
	must((r == 0) == (errors.len == 0));
	must(errors.len == 0 || errors.data[errors.len - 1] == '\n');
	must(utf8_valid(buf_str(&errors), errors.len) && !memchr(buf_str(&errors), 0x1b, errors.len));
	must(s[0].dir[0] == '/' && s[0].size >= 1 && s[0].size <= 1 << 30 && s[0].time >= 0);
	must(s[1].choice == 0 || s[1].choice == 1);
	must(text_columns(s[1].text) <= sizeof(s[1].text));
	return 0;
}
