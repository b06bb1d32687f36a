/* The ground truth of the sample pages, said by a perfect reader: every value survives as it is, every check
 * holds. */
#include <dirent.h>
#include <fcntl.h>

#include "tests/unit/test.h"

#include "base/fileio.h"
#include "extract/checks.h"

#define PAGES "tests/samples/pages"

static cJSON *load_json(const char *path)
{
	_cleanup_buf_ struct buf b = {};
	cJSON *j = NULL;

	if (file_read(AT_FDCWD, path, 1 << 20, &b) < 0 || json_parse(buf_str(&b), b.len, &j, NULL) < 0)
		test_fail(__FILE__, __LINE__, "cannot read %s", path);
	return j;
}

static struct doctype *load_type(const char *name)
{
	_cleanup_buf_ struct buf b = {};
	struct doctype *t = NULL;
	char path[80], why[300] = "";

	str_format(path, sizeof(path), "configs/documents/%s.json", name);
	if (file_read(AT_FDCWD, path, 1 << 20, &b) < 0 ||
		doctype_parse(buf_str(&b), b.len, &t, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", path, why);
	return t;
}

static void expect_whole(const char *file, const struct answer *a, const cJSON *truth)
{
	const cJSON *want;

	cJSON_ArrayForEach (want, truth) {
		const struct field_value *f = answer_field(a, want->string);

		if (!f || !cJSON_Compare(f->value, want, true))
			test_fail(__FILE__, __LINE__, "%s: %s is not what was said: %s", file, want->string,
				f && f->problem ? f->problem : "?");
		if (f->problem)
			test_fail(__FILE__, __LINE__, "%s: %s: %s", file, want->string, f->problem);
		if ((f->spec->kind == FIELD_MONEY || f->spec->kind == FIELD_ABN) &&
			f->proof != PROOF_VERIFIED)
			test_fail(
				__FILE__, __LINE__, "%s: %s is %s", file, want->string, proof_name(f->proof));
	}
	if (a->problems || answer_score(a) != ANSWER_COMPLETE)
		test_fail(__FILE__, __LINE__, "%s: %s, %s", file, answer_state_name(answer_score(a)),
			a->problems ? a->problems : "");
}

static void try_page(const char *file)
{
	_cleanup_json_ cJSON *page = NULL;
	_cleanup_buf_ struct buf said = {};
	struct doctype *t;
	struct answer *a;
	char path[300];

	str_format(path, sizeof(path), "%s/%s", PAGES, file);
	page = load_json(path);
	t = load_type(json_get_string(page, "type"));
	CHECK(json_print(json_get(page, "fields"), true, &said) == 0);
	CHECK(answer_parse(t, buf_str(&said), said.len, &a) == 0);
	CHECK(checks_run(a) == 0);
	expect_whole(file, a, json_get(page, "fields"));
	answer_free(a);
	doctype_free(t);
}

TEST(ground_truth_is_read_and_proven)
{
	DIR *d = opendir(PAGES);
	struct dirent *e;
	unsigned int n = 0;

	CHECK(d != NULL);
	while ((e = readdir(d))) {
		const char *end = strrchr(e->d_name, '.');

		if (!end || !streq(end, ".json"))
			continue;
		try_page(e->d_name);
		n++;
	}
	closedir(d);
	CHECK(n >= 12);
}
