#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/ini.h"

struct backend {
	char name[33], url[300];
	int64_t tries;
	int kind;
	bool on;
};

struct settings {
	char dir[64], text[20];
	int64_t cap, wait, n;
	bool lab;
	struct backend backends[3];
	size_t n_backends;
};

static void *find_section(void *ud, const char *section, const char *name, char *why, size_t why_size)
{
	struct settings *s = ud;
	struct backend *b;

	if (!name)
		return s;
	CHECK_STR(section, "Backend *");
	for (size_t i = 0; i < s->n_backends; i++)
		if (streq(s->backends[i].name, name))
			return &s->backends[i];
	if (strlen(name) > 32 || strchr(name, '!')) {
		str_format(why, why_size, "this name is not allowed");
		return NULL;
	}
	if (s->n_backends == ARRAY_SIZE(s->backends)) {
		str_format(why, why_size, "there are more than 3 backends");
		return NULL;
	}
	b = &s->backends[s->n_backends++];
	str_copy(b->name, sizeof(b->name), name);
	return b;
}

static const char *const kinds[] = {"bedrock", "openai", "ocr", NULL};
#define AT(field)  offsetof(struct settings, field)
#define BAT(field) offsetof(struct backend, field)
static const struct ini_key keys[] = {
	{"Spool", "Directory", ini_parse_path, AT(dir), &(struct ini_string){64}, "/var/lib/x",
		"Where pages are."},
	{"Spool", "Cap", ini_parse_bytes, AT(cap), &(struct ini_range){1 << 20, INT64_C(1) << 40}, "2G",
		"Bytes, 1M to 1T."},
	{"Service", "Wait", ini_parse_duration_ms, AT(wait), &(struct ini_range){1000, 3600000}, "90s",
		"How long, 1s to 1h."},
	{"Service", "Text", ini_parse_text, AT(text), &(struct ini_string){20}, NULL, "Anything."},
	{"Service", "Lab", ini_parse_boolean, AT(lab), NULL, "no", NULL},
	{"Service", "Number", ini_parse_int64, AT(n), &(struct ini_range){-5, 5}, "3", "A number."},
	{"Backend *", "Kind", ini_parse_choice, BAT(kind), &(struct ini_enum){kinds}, "openai",
		"What it is."},
	{"Backend *", "URL", ini_parse_text, BAT(url), &(struct ini_string){300}, NULL, "Where it is."},
	{"Backend *", "Tries", ini_parse_int64, BAT(tries), &(struct ini_range){1, 9}, "4", "How often."},
};

static struct settings s;
static struct {
	int n;
	const void *section;
	char key[32], file[300];
	unsigned int line;
} told;

static void on_seen(void *ud, const struct ini_key *key, void *section, const struct ini_where *where)
{
	told.n++;
	told.section = section;
	told.line = where->line;
	str_copy(told.key, sizeof(told.key), key->key);
	str_copy(told.file, sizeof(told.file), where->file);
}

static const struct ini_table table = {keys, ARRAY_SIZE(keys), find_section, &s, on_seen, NULL};
static struct buf errors;

static int read_bytes(const char *text, size_t len)
{
	memset(&s, 0, sizeof(s));
	memset(&told, 0, sizeof(told));
	buf_free(&errors);
	ini_defaults(&table);
	return ini_read_text(&table, "f", text, len, &errors);
}

static void good(const char *text)
{
	int r = read_bytes(text, strlen(text));

	if (r != 0 || errors.len != 0)
		test_fail(__FILE__, __LINE__, "%d %s", r, buf_str(&errors));
}

static void bad(const char *text, const char *want)
{
	CHECK_INT(read_bytes(text, strlen(text)), -EINVAL);
	CHECK_STR(buf_str(&errors), want);
}

TEST(defaults)
{
	good("");
	CHECK_STR(s.dir, "/var/lib/x");
	CHECK_INT(s.cap, INT64_C(2) << 30);
	CHECK_INT(s.wait, 90000);
	CHECK_INT(s.n, 3);
	CHECK(!s.lab && !s.text[0] && s.n_backends == 0);
}

TEST(values_of_every_type)
{
	good("[Spool]\nDirectory=/srv/p\nCap=5M\n[Service]\nWait=1h\nText=a b\nLab=yes\nNumber=-5\n[Backend "
	     "sydney]\nKind=ocr\nTries=9\n");
	CHECK_STR(s.dir, "/srv/p");
	CHECK_INT(s.cap, 5 << 20);
	CHECK_INT(s.wait, 3600000);
	CHECK_STR(s.text, "a b");
	CHECK(s.lab);
	CHECK_INT(s.n, -5);
	CHECK_INT(s.backends[0].kind, 2);
	CHECK_INT(s.backends[0].tries, 9);
}

TEST(shapes_of_lines)
{
	good("\xef\xbb\xbf[Service]\r\n  Text = a ; b # c = d  \r\n\r\n# comment\r\n ; "
	     "comment\r\n\tNumber\t=\t1");
	CHECK_STR(s.text, "a ; b # c = d");
	CHECK_INT(s.n, 1);
	good("[ Service ]\n[Spool]  \nCap=1M");
	CHECK_INT(s.cap, 1 << 20);
	good("[Service]\nText=[x]\n");
	CHECK_STR(s.text, "[x]");
	good("[Service]\nText=:a:\n");
	CHECK_STR(s.text, ":a:");
	good("[Service]\nText=\n");
	CHECK_STR(s.text, "");
	good("[Service]\nText=\"q\"\n"); /* quotes are text */
	CHECK_STR(s.text, "\"q\"");
	good("\n\n\n");
	good("#");
}

/* An indented line is a line of its own, not more of the one before. */
TEST(indented_lines)
{
	good("[Service]\nNumber=1\n   Text=x\n\tLab=yes\n");
	CHECK_INT(s.n, 1);
	CHECK_STR(s.text, "x");
	CHECK(s.lab);
	bad("[Service]\nText=a\n  more\n", "f:3: [Service] more: not a line \"Key=value\"\n");
}

TEST(long_lines_and_their_numbers)
{
	_cleanup_buf_ struct buf b = {};

	/* 250 bytes, with what libinih 55 would take for a new line at 199 */
	buf_adds(&b, "[Backend sydney]\nURL=");
	for (int i = 0; i < 250; i++)
		buf_addc(&b, "abc=def ;[x]\t"[i % 12]);
	buf_adds(&b, "z\nTries=99\n");
	CHECK_INT(read_bytes(b.data, b.len), -EINVAL);
	CHECK_INT(strlen(s.backends[0].url), 251);
	CHECK(s.backends[0].url[250] == 'z');
	CHECK_STR(buf_str(&errors), "f:3: [Backend sydney] Tries=99: this value is out of range; expected a "
				    "whole number from 1 to 9\n");
	/* a comment of 60 KiB */
	buf_clear(&b);
	buf_addc(&b, '#');
	for (int i = 0; i < 60000; i++)
		buf_addc(&b, 'x');
	buf_adds(&b, "\n[Service]\nNumber=9\n");
	CHECK_INT(read_bytes(b.data, b.len), -EINVAL);
	CHECK(starts_with(buf_str(&errors), "f:3: [Service] Number=9: "));
}

static void line_of(size_t len, bool fits)
{
	_cleanup_buf_ struct buf b = {};

	buf_adds(&b, "[Service]\nText=");
	for (size_t i = 5; i < len; i++)
		buf_addc(&b, ' ');
	buf_adds(&b, "\nNumber=1\n");
	CHECK_INT(read_bytes(b.data, b.len), fits ? 0 : -EINVAL);
	CHECK_STR(buf_str(&errors), fits ? "" : "f:2: [Service] the line is longer than 64 KiB\n");
	CHECK_INT(s.n, 1);
}

TEST(line_and_file_limits)
{
	_cleanup_free_ char *text = malloc((1 << 20) + 1);

	line_of(65536, true);
	line_of(65537, false);
	memset(text, '\n', (1 << 20) + 1);
	CHECK_INT(read_bytes(text, 1 << 20), 0);
	CHECK_INT(read_bytes(text, (1 << 20) + 1), -EINVAL);
	CHECK_STR(buf_str(&errors), "f: the file is longer than 1 MiB\n");
}

TEST(nul_and_bad_utf8)
{
	CHECK_INT(read_bytes("[Service]\nNum\0ber=1\n", 20), -EINVAL);
	CHECK_STR(buf_str(&errors), "f:2: [Service] there is a NUL byte in the line\n");
	CHECK_INT(read_bytes("[Service]\n#\0\n", 13), -EINVAL);
	bad("[Service]\nText=\xff\xfe\n",
		"f:2: [Service] Text=\xef\xbf\xbd\xef\xbf\xbd: the line is not UTF-8\n");
	good("# caf\xe9 in another encoding\n");
}

TEST(offending_text_is_made_safe)
{
	bad("[Service]\nNumber=\x1b[31m\xe2\x80\xae\n",
		"f:2: [Service] Number=\xef\xbf\xbd[31m\xef\xbf\xbd: this value is not valid; expected a "
		"whole number from -5 to 5\n");
	bad("[Service]\nText=a\x1b"
	    "b\n",
		"f:2: [Service] Text=a\xef\xbf\xbd"
		"b: this value is not valid; expected a text of at most 19 bytes "
		"without control characters\n");
	bad("[Serv\x07"
	    "ice!!]\n",
		"f:1: [Serv\xef\xbf\xbdice!!] there is no such section\n");
}

TEST(unknown_names)
{
	bad("[Service]\nNumbr=1\n", "f:2: [Service] Numbr: there is no such key; expected Number=\n");
	bad("[Service]\nnumber=1\n", "f:2: [Service] number: there is no such key; expected Number=\n");
	bad("[Service]\nCap=1M\n",
		"f:2: [Service] Cap: there is no such key; expected it in section [Spool]\n");
	bad("[Service]\nFrobnicate=1\n", "f:2: [Service] Frobnicate: there is no such key\n");
	bad("[service]\nNumber=9\nX=1\n", "f:1: [service] there is no such section; expected [Service]\n");
	bad("[Spol]\n", "f:1: [Spol] there is no such section; expected [Spool]\n");
	bad("[Elsewhere]\nA=1\n", "f:1: [Elsewhere] there is no such section\n");
	bad("[Backend]\nKind=ocr\n", "f:1: [Backend] there is no such section; expected [Backend NAME]\n");
	bad("[Backend ]\n", "f:1: [Backend] there is no such section; expected [Backend NAME]\n");
	bad("[Backends x]\n", "f:1: [Backends x] there is no such section; expected [Backend NAME]\n");
	bad("[Backend *]\n[Backend a!]\n", "f:2: [Backend a!] this name is not allowed\n");
}

TEST(malformed_lines)
{
	bad("Number=1\n", "f:1: Number=1: this key is before the first section\n");
	bad("[Service\n", "f:1: [Service: the section's ] is missing\n");
	bad("[Service] Number=1\n", "f:1: [Service] Number=1: there is text after the section's ]\n");
	bad("[]\n", "f:1: []: the section has no name\n");
	bad("[Service]\n=1\n", "f:2: [Service] =1: the key is missing before =\n");
	bad("[Service]\nNumber\n", "f:2: [Service] Number: not a line \"Key=value\"\n");
	bad("[Service]\nNumber: 1\n", "f:2: [Service] Number: 1: not a line \"Key=value\"\n");
}

TEST(duplicates_in_one_file)
{
	bad("[Service]\nNumber=1\nLab=no\nNumber=2\n",
		"f:4: [Service] Number=2: this key was set before, in line 2\n");
	CHECK_INT(s.n, 1);
	bad("[Service]\n[Spool]\n[Service]\n", "f:3: [Service] this section was opened before, in line 1\n");
	bad("[Backend a]\n[Backend   a]\n", "f:2: [Backend a] this section was opened before, in line 1\n");
	good("[Backend a]\nTries=1\n[Backend b]\nTries=2\n");
}

TEST(every_problem_is_told)
{
	bad("[Service]\nNumber=6\nWait=1ms\nLab=maybe\n[Spool]\nCap=big\nDirectory=relative\n[Backend "
	    "x]\nKind=claude\n",
		"f:2: [Service] Number=6: this value is out of range; expected a whole number from -5 to 5\n"
		"f:3: [Service] Wait=1ms: this value is out of range; expected a time from 1s to 1h (90s and "
		"1h 30min are written so)\n"
		"f:4: [Service] Lab=maybe: this value is not valid; expected yes or no\n"
		"f:6: [Spool] Cap=big: this value is not valid; expected a size in bytes from 1M to 1T (512M "
		"and 2G are written so)\n"
		"f:7: [Spool] Directory=relative: this value is not valid; expected an absolute path of at "
		"most 63 bytes\n"
		"f:9: [Backend x] Kind=claude: this value is not valid; expected bedrock, openai or ocr\n");
	bad("[Service]\nText=12345678901234567890\n",
		"f:2: [Service] Text=12345678901234567890: this value is too long; expected a text of at "
		"most 19 bytes without control characters\n");
}

TEST(problems_are_capped)
{
	_cleanup_buf_ struct buf b = {};
	size_t lines = 0;

	for (int i = 0; i < 100000; i++)
		buf_adds(&b, "x\n");
	CHECK_INT(read_bytes(b.data, b.len), -EINVAL);
	for (const char *p = buf_str(&errors); (p = strchr(p, '\n')); p++)
		lines++;
	CHECK_INT(lines, 101);
	CHECK(strstr(buf_str(&errors), "\nand 99900 more problems\n"));
}

TEST(where_values_came_from)
{
	good("[Service]\nNumber=1\n\n[Backend a]\n# x\nTries=2\n");
	CHECK_INT(told.n, 2); /* not of defaults */
	CHECK_STR(told.key, "Tries");
	CHECK_STR(told.file, "f");
	CHECK_INT(told.line, 6);
	CHECK(told.section == &s.backends[0]);
	CHECK_INT(read_bytes("[Service]\nNumber=99\n", 20), -EINVAL);
	CHECK_INT(told.n, 0); /* nor of what was refused */
}

TEST(named_sections)
{
	good("[Backend a]\nTries=7\n[Backend b]\n");
	CHECK_INT(s.n_backends, 2);
	CHECK_INT(s.backends[0].tries, 7);
	CHECK_INT(s.backends[1].tries, 4); /* defaults */
	CHECK_INT(s.backends[1].kind, 1);
	bad("[Backend a]\n[Backend b]\n[Backend c]\n[Backend d]\nTries=1\n",
		"f:4: [Backend d] there are more than 3 backends\n");
}

/* ---- files ---- */

static char path[128];

static void put(const char *name, const char *text)
{
	char p[200];

	str_format(p, sizeof(p), "%s/%s", test_tmpdir(), name);
	test_write(AT_FDCWD, p, text, 0644);
}

static int read_files(bool optional)
{
	memset(&s, 0, sizeof(s));
	buf_free(&errors);
	ini_defaults(&table);
	return ini_read(&table, path, optional, &errors);
}

static void make_dropins(void)
{
	char d[160];

	str_format(path, sizeof(path), "%s/x.conf", test_tmpdir());
	str_format(d, sizeof(d), "%s.d", path);
	CHECK_INT(mkdir(d, 0755), 0);
}

TEST(drop_ins_override_in_order)
{
	make_dropins();
	put("x.conf", "[Service]\nNumber=1\nLab=yes\n[Backend a]\nTries=2\nKind=ocr\n");
	put("x.conf.d/20.conf", "[Service]\nNumber=4\n");
	put("x.conf.d/10.conf", "[Service]\nNumber=2\n[Backend a]\nTries=5\n[Backend b]\n");
	put("x.conf.d/30.conf.bak", "rubbish");
	put("x.conf.d/.40.conf", "rubbish");
	CHECK_INT(read_files(false), 0);
	CHECK_STR(buf_str(&errors), "");
	CHECK_INT(s.n, 4);
	CHECK(s.lab);
	CHECK_INT(s.backends[0].tries, 5);
	CHECK_INT(s.backends[0].kind, 2); /* not back to its default */
	CHECK_INT(s.n_backends, 2);
}

TEST(problems_name_their_file)
{
	char want[512];

	make_dropins();
	put("x.conf", "[Service]\nNumber=9\n");
	put("x.conf.d/10.conf", "\n[Service]\nNumber=x\n");
	CHECK_INT(read_files(false), -EINVAL);
	str_format(want, sizeof(want),
		"%s:2: [Service] Number=9: this value is out of range; expected a whole number from -5 to 5\n"
		"%s.d/10.conf:3: [Service] Number=x: this value is not valid; expected a whole number from "
		"-5 to 5\n",
		path, path);
	CHECK_STR(buf_str(&errors), want);
}

TEST(missing_main_file)
{
	char want[200];

	make_dropins();
	put("x.conf.d/10.conf", "[Service]\nNumber=2\n");
	CHECK_INT(read_files(false), -ENOENT);
	str_format(want, sizeof(want), "%s: No such file or directory\n", path);
	CHECK_STR(buf_str(&errors), want);
	CHECK_INT(read_files(true), 0);
	CHECK_STR(buf_str(&errors), "");
	CHECK_INT(s.n, 2);
}

TEST(no_drop_in_folder)
{
	str_format(path, sizeof(path), "%s/x.conf", test_tmpdir());
	CHECK_INT(read_files(true), 0);
	put("x.conf", "[Service]\nNumber=2\n");
	CHECK_INT(read_files(false), 0);
	put("x.conf.d", "a file, not a folder");
	CHECK_INT(read_files(false), -ENOTDIR);
	CHECK(strstr(buf_str(&errors), "x.conf.d: Not a directory\n"));
}

TEST(what_is_not_a_file)
{
	char link[200];

	make_dropins();
	put("x.conf", "");
	str_format(link, sizeof(link), "%s.d/10.conf", path);
	CHECK_INT(symlink("/dev/null", link), 0); /* masked */
	CHECK_INT(read_files(false), 0);
	CHECK_INT(unlink(link), 0);
	CHECK_INT(mkfifo(link, 0600), 0); /* must not hang */
	CHECK_INT(read_files(false), -EINVAL);
	CHECK_INT(unlink(link), 0);
	CHECK_INT(mkdir(link, 0700), 0);
	CHECK_INT(read_files(false), -EISDIR);
	CHECK_INT(rmdir(link), 0);
	CHECK_INT(symlink("nowhere", link), 0);
	CHECK_INT(read_files(false), -ENOENT);
	CHECK(errors.len > 0);
}

TEST(help_is_a_configuration_of_defaults)
{
	_cleanup_buf_ struct buf help = {};

	CHECK_INT(ini_help(&table, &help), 0);
	CHECK(strstr(buf_str(&help),
		"\n[Service]\n# How long, 1s to 1h.\n#Wait=90s\n# Anything.\n#Text=\n#Lab=no\n"));
	CHECK(strstr(buf_str(&help), "\n#[Backend NAME]\n# What it is.\n#Kind=openai\n"));
	good(buf_str(&help));
	CHECK_INT(s.wait, 90000);
	buf_free(&errors);
}
