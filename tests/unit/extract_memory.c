/* Without memory nothing is taken for what it is not: an answer never comes out with a field less, with another one or as none,
 * a document type not as wrong. Each allocation on the way fails once. */
#include "tests/unit/memory.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <regex.h>

#include "base/fileio.h"
#include "extract/answer.h"
#include "extract/checks.h"
#include "extract/ocr.h"
#include "extract/ocrmap.h"

#if !defined(__SANITIZE_ADDRESS__)
/* The call is one allocation: glibc's own forgets some blocks when one of its fails. */
int regcomp(regex_t *restrict re, const char *restrict pattern, int flags)
{
	static int (*real)(regex_t *, const char *, int);
	int64_t countdown;
	int r;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "regcomp");
	if (memory_denied())
		return REG_ESPACE;
	countdown = memory_countdown;
	memory_countdown = 0;
	r = real(re, pattern, flags);
	memory_countdown = countdown;
	return r;
}
#endif

static struct typeset *types_load(const char *names)
{
	_cleanup_buf_ struct buf all = {};
	struct typeset *s;
	char name[40], why[256];

	CHECK_INT(buf_addc(&all, '['), 0);
	for (const char *at = names; sscanf(at, "%39s", name) == 1; at += strlen(name) + strspn(at + strlen(name), " ")) {
		_cleanup_buf_ struct buf one = {};
		char path[80];

		str_format(path, sizeof(path), "configs/documents/%s.json", name);
		CHECK_INT(file_read(AT_FDCWD, path, 1 << 20, &one), 0);
		CHECK_INT(buf_addf(&all, "%s%s", all.len > 1 ? "," : "", buf_str(&one)), 0);
	}
	CHECK_INT(buf_addc(&all, ']'), 0);
	CHECK_INT(typeset_parse(all.data, all.len, &s, why, sizeof(why)), 0);
	return s;
}

/* ---- from the raw answer to the result ------------------------------------------------------------------ */

static int to_result(struct answer *a, const cJSON *evidence, struct buf *out)
{
	_cleanup_json_ cJSON *result = cJSON_CreateObject();
	int r = result ? answer_add_evidence(a, evidence) : -ENOMEM;

	if (r >= 0)
		r = checks_run(a);
	if (r >= 0)
		r = answer_to_json(a, result);
	return r < 0 ? r : json_print(result, false, out);
}

static int read_answer(const struct doctype *t, const char *raw, const cJSON *evidence, struct buf *out)
{
	struct answer *a;
	int r = answer_parse(t, raw, strlen(raw), &a);

	if (r < 0)
		return r;
	r = to_result(a, evidence, out);
	answer_free(a);
	return r;
}

/* Every allocation of fn() fails once: then it says so, or the result is what it is with memory; and nothing is left behind. */
static void each_fails(int (*fn)(const void *ud, struct buf *out), const void *ud)
{
	_cleanup_buf_ struct buf want = {};
	int64_t n = 1;
	bool failed = true;

	CHECK_INT(fn(ud, &want), 0);
	for (; failed; n++) {
		struct buf got = {};
		int64_t blocks = memory_blocks;
		int r;

		memory_fail_at(n);
		r = fn(ud, &got);
		failed = memory_failed();
		if (r == 0 && !streq(buf_str(&got), buf_str(&want)))
			test_fail(__FILE__, __LINE__, "allocation %lld: %s\ninstead of %s", (long long)n, buf_str(&got),
				buf_str(&want));
		if (r < 0 && r != -ENOMEM)
			test_fail(__FILE__, __LINE__, "allocation %lld: %d", (long long)n, r);
		buf_free(&got);
		if (memory_blocks != blocks)
			test_fail(__FILE__, __LINE__, "allocation %lld: %lld blocks are left", (long long)n,
				(long long)(memory_blocks - blocks));
	}
	CHECK(n > 20);
}

struct said {
	const struct typeset *types;
	const char *raw;
	const cJSON *evidence;
};

static int read_said(const void *ud, struct buf *out)
{
	const struct said *s = ud;

	return read_answer(s->types->types[0], s->raw, s->evidence, out);
}

static void each_fails_for(const char *raw, const char *evidence)
{
	_cleanup_json_ cJSON *e = NULL;
	struct typeset *s = types_load("invoice");
	struct said said = {.types = s, .raw = raw};

	CHECK(!evidence || json_parse(evidence, strlen(evidence), &e, NULL) == 0);
	said.evidence = e;
	each_fails(read_said, &said);
	typeset_free(s);
}

#define INVOICE                                                                                                                 \
	"{\"supplier_name\":\"Harbour Paper\",\"supplier_abn\":\"51 824 753 556\",\"invoice_date\":\"21 Nov 2026\","            \
	"\"customer_name\":\"n/a\",\"strange\":1,\"total\":{\"value\":\"$110.00\",\"confidence\":0.9},"   \
	"\"gst\":10,\"lines\":[{\"description\":\"Paper\",\"quantity\":\"2\",\"amount\":\"$110.00\",\"odd\":2},"           \
	"{\"quantity\":1}]}"

TEST(json)
{
	MEMORY_SKIP();
	each_fails_for(INVOICE, "{\"total\":{\"text\":\"$110.00\",\"confidence\":0.8,\"box\":[1,2,3,4]}}");
}

TEST(json_in_prose)
{
	MEMORY_SKIP();
	each_fails_for("The fields {as asked}: {\"fields\":" INVOICE "} and {\"total\":\"3.00\"} aside.", NULL);
}

TEST(lines)
{
	MEMORY_SKIP();
	each_fails_for("supplier_name: Harbour Paper\ninvoice_date: 21/11/2026\ntotal: \"$110.00\"\ngst: oops\nlines:\n"
		       "  - description: Paper\n    amount: 55.00\n  - description: [1]\n    amount: 55.00\n",
		NULL);
}

/* ---- from the helper's words ------------------------------------------------------------------------------ */

/* What is drawn with ten pixels a letter; two blanks begin a new segment. */
static void draw(const char *text, struct buf *out)
{
	int x = 100, y = 100;

	CHECK_INT(buf_addc(out, '['), 0);
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, " \n");

		if (n > 0)
			CHECK_INT(buf_addf(out, "%s{\"t\":\"%.*s\",\"b\":[%d,%d,%d,20],\"c\":95,\"l\":[1,1,%d]}", out->len > 1 ? "," : "", (int)n,
					  p, x, y, (int)n * 10 - 2, y),
				0);
		p += n;
		x += (int)n * 10 + 10;
		if (*p == '\n') {
			y += 30;
			x = 100;
		}
		p += *p != 0;
	}
	CHECK_INT(buf_addc(out, ']'), 0);
}

static int decode(const void *ud, struct buf *out)
{
	static const struct ocr_config config = {.language = "eng", .timeout_ms = 60000, .max_pixels = 4000000};
	static const struct extractor x = {&ocr_extractor, "ocr", &config};
	const struct said *s = ud;
	const struct job j = {.page_id = "p", .types = s->types, .n_images = 1};
	const struct reply reply = {.error = TRANSPORT_OK, .sent = true, .body = s->raw, .len = strlen(s->raw)};
	struct verdict v = {};
	int r = ocr_extractor.decode(&x, &j, &reply, &v);

	if (r >= 0 && v.page != PAGE_DONE)
		r = -EBADMSG;
	if (r >= 0)
		r = read_answer(v.type, v.answer, v.evidence, out);
	verdict_clear(&v);
	return r;
}

static void each_fails_on(const char *types, const char *page)
{
	_cleanup_buf_ struct buf words = {}, reply = {};
	struct typeset *set = types_load(types);
	struct said said = {.types = set};

	draw(page, &words);
	CHECK_INT(buf_addf(&reply, "{\"type\":\"words\",\"width\":1000,\"height\":1400,\"bytes\":%zu}\n%s{\"type\":\"end\",\"ok\":true}\n",
			  words.len, buf_str(&words)),
		0);
	said.raw = buf_str(&reply);
	each_fails(decode, &said);
	typeset_free(set);
}

TEST(words_of_a_receipt)
{
	MEMORY_SKIP();
	each_fails_on("universal receipt",
		"Corner Store\nRECEIPT\nABN 51 824 753 556\nReceipt No: A17\nDate 21/11/2O26\nMilk  $4.50\nBread  $5,00\nTotal  $9.50\n"
		"GST  $0.86\nCash  $9.50\n");
}

TEST(words_of_an_invoice)
{
	MEMORY_SKIP();
	each_fails_on("invoice",
		"Supplier: Harbour Paper\nInvoice number  I-1\nTotal  $110.00\nDescription  Quantity  Amount\nPaper  2  $100.00\n"
		"with a mark\n");
}

/* ---- the types that were frozen with a page --------------------------------------------------------------------- */

static int parse_types(const void *ud, struct buf *out)
{
	const char *text = ud;
	struct typeset *s;
	char why[200] = "";
	int r = typeset_parse(text, strlen(text), &s, why, sizeof(why));

	if (r < 0)
		return r;
	typeset_free(s);
	return buf_adds(out, "read");
}

TEST(types)
{
	_cleanup_buf_ struct buf text = {}, all = {};

	MEMORY_SKIP();
	CHECK_INT(file_read(AT_FDCWD, "configs/documents/receipt.json", 1 << 20, &text), 0);
	CHECK_INT(buf_addf(&all, "[%s]", buf_str(&text)), 0);
	each_fails(parse_types, buf_str(&all));
}
