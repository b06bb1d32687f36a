/* What went where, by backend, host, region, model and whether it was with Lab=yes. */
#include <arpa/inet.h>
#include <inttypes.h>

#include "base/text.h"
#include "base/crypto.h"
#include "ctl/audit.h"
#include "ctl/table.h"

#define TO_MAX    4 /* texts that make a row */
#define COUNT_MAX 7

enum { BACKEND, HOST, REGION, MODEL };
enum { REQUESTS, BYTES, TOKENS_IN, TOKENS_OUT, COST, REFUSED, CUT_OFF };
static const char *const members[TO_MAX] = {"backend", "host", "region", "model"};
static const char *const counts[COUNT_MAX] = {"requests", "bytes", "tokensInput", "tokensOutput", "costPicoUsd", "refused", "cutOff"};

struct row {
	char to[TO_MAX][256];
	bool lab, abroad;
	int64_t n[COUNT_MAX];
	uint64_t *pages; /* owned: a hash each; with doubles until they are counted */
	size_t n_pages, size;
};

struct audit_report {
	struct row *rows; /* owned */
	size_t n;
};

int audit_report_new(struct audit_report **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void audit_report_free(struct audit_report *r)
{
	for (size_t i = 0; r && i < r->n; i++)
		free(r->rows[i].pages);
	if (r)
		free(r->rows);
	free(r);
}

/* ---- where ----------------------------------------------------------------------------------------------- */

/* A literal that no router of the public network carries. */
static bool is_private(const char *host)
{
	struct in6_addr six;
	char bare[64];
	struct in_addr four;
	size_t len = strcspn(host + (*host == '['), "]%");
	uint32_t a;

	if (len >= sizeof(bare))
		return false;
	memcpy(bare, host + (*host == '['), len);
	bare[len] = 0;
	if (inet_pton(AF_INET6, bare, &six) == 1)
		return (six.s6_addr[0] & 0xfe) == 0xfc || (six.s6_addr[0] == 0xfe && (six.s6_addr[1] & 0xc0) == 0x80) ||
		       IN6_IS_ADDR_LOOPBACK(&six);
	if (inet_pton(AF_INET, bare, &four) != 1)
		return false;
	a = ntohl(four.s_addr);
	return a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe;
}

bool audit_in_australia(const char *host, const char *region)
{
	static const char *const regions[] = {"ap-southeast-2", "ap-southeast-4"};
	char label[24];

	if (!*host)
		return !*region; /* a helper of this machine */
	if (is_private(host))
		return !*region;
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		str_format(label, sizeof(label), ".%s.", regions[i]);
		if (streq(region, regions[i]) && strstr(host, label))
			return true;
	}
	return false;
}

/* ---- adding ---------------------------------------------------------------------------------------------- */

static int row_for(struct audit_report *r, const cJSON *body, struct row **ret)
{
	struct row want = {}, *rows;
	size_t i;

	for (i = 0; i < TO_MAX; i++)
		str_format(want.to[i], sizeof(want.to[i]), "%.255s", text_of(body, members[i]));
	json_get_bool(body, "lab", &want.lab);
	want.abroad = !audit_in_australia(want.to[HOST], want.to[REGION]);
	for (i = 0; i < r->n; i++)
		if (r->rows[i].lab == want.lab && memcmp(r->rows[i].to, want.to, sizeof(want.to)) == 0)
			break;
	if (i == r->n) {
		rows = reallocarray(r->rows, r->n + 1, sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		r->rows = rows;
		r->rows[r->n++] = want;
	}
	*ret = &r->rows[i];
	return 0;
}

static int add_page(struct row *row, const char *page)
{
	uint8_t digest[SHA256_SIZE];
	uint64_t *pages;

	if (row->n_pages == row->size) {
		pages = reallocarray(row->pages, row->size * 2 + 64, sizeof(*pages));
		if (!pages)
			return -ENOMEM;
		row->pages = pages;
		row->size = row->size * 2 + 64;
	}
	sha256_of(page, strlen(page), digest);
	memcpy(&row->pages[row->n_pages++], digest, sizeof(*row->pages));
	return 0;
}

static void add_number(struct row *row, size_t which, const cJSON *body, const char *member)
{
	int64_t v;

	if (json_get_i64(body, member, &v) == 0 && v > 0 && row->n[which] <= INT64_MAX - v)
		row->n[which] += v;
}

int audit_report_add(struct audit_report *r, const cJSON *body)
{
	const char *kind = text_of(body, "kind");
	struct row *row;

	if (row_for(r, body, &row) < 0)
		return -ENOMEM;
	if (streq(kind, "sent")) {
		row->n[REQUESTS]++;
		add_number(row, BYTES, body, "bytes");
		return add_page(row, text_of(body, "page"));
	}
	row->n[CUT_OFF] += streq(kind, "crashed");
	row->n[REFUSED] += streq(text_of(body, "reason"), "residency");
	add_number(row, TOKENS_IN, body, "in");
	add_number(row, TOKENS_OUT, body, "out");
	add_number(row, COST, body, "pusd");
	return 0;
}

/* ---- printing -------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int64_t count_pages(struct row *row)
{
	int64_t n = row->n_pages > 0;

	if (row->n_pages > 0)
		qsort(row->pages, row->n_pages, sizeof(*row->pages), by_number);
	for (size_t i = 1; i < row->n_pages; i++)
		n += row->pages[i] != row->pages[i - 1];
	return n;
}

/* What stands out, first; then by name. */
static int by_weight(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int wx = 2 * x->abroad + x->lab, wy = 2 * y->abroad + y->lab;

	return wx != wy ? wy - wx : memcmp(x->to, y->to, sizeof(x->to));
}

static const char *mark(const struct row *row)
{
	return row->abroad ? "NOT KNOWN TO BE IN AUSTRALIA" : row->lab ? "Lab=yes" : "";
}

static int put_json(struct row *row)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	char digits[24];
	int r = j ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < TO_MAX; i++)
		r = json_add_string(j, members[i], row->to[i][0] ? row->to[i] : NULL);
	if (r >= 0)
		r = json_add_bool(j, "lab", row->lab);
	if (r >= 0)
		r = json_add_bool(j, "australia", !row->abroad);
	if (r >= 0)
		r = json_add_i64(j, "pages", count_pages(row));
	for (size_t i = 0; r >= 0 && i < COUNT_MAX; i++) {
		str_format(digits, sizeof(digits), "%" PRId64, row->n[i]);
		/* Money is digits in a string wherever it is JSON. */
		r = i == COST ? json_add_string(j, counts[i], digits) : json_add_i64(j, counts[i], row->n[i]);
	}
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put_json(j);
}

static int add_csv(struct buf *out, struct row *row)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < TO_MAX; i++) {
		r = text_csv_cell(out, row->to[i]);
		if (r >= 0)
			r = buf_addc(out, ',');
	}
	if (r >= 0)
		r = buf_addf(out, "%s,%s,%" PRId64, row->lab ? "yes" : "no", row->abroad ? "no" : "yes", count_pages(row));
	for (size_t i = 0; r >= 0 && i < COUNT_MAX; i++)
		r = buf_addf(out, ",%" PRId64, row->n[i]);
	return r < 0 ? r : buf_adds(out, "\r\n");
}

static int put_csv(struct audit_report *r)
{
	_cleanup_buf_ struct buf out = {};
	int e = buf_adds(&out, "backend,host,region,model,lab,australia,pages,requests,bytes,tokens_input,tokens_output,cost_pico_usd,refused,cut_off\r\n");

	for (size_t i = 0; e >= 0 && i < r->n; i++)
		e = add_csv(&out, &r->rows[i]);
	return e < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

static int add_count(struct table *t, int64_t n)
{
	char digits[24] = "";

	if (n != 0)
		str_format(digits, sizeof(digits), "%" PRId64, n);
	return table_cell(t, STYLE_PLAIN, digits);
}

static int add_text_row(struct table *t, struct row *row)
{
	_cleanup_buf_ struct buf bytes = {}, cost = {};
	int r = table_row(t);

	if (r >= 0)
		r = table_cell(t, row->abroad ? STYLE_BAD : STYLE_WARN, mark(row));
	for (size_t i = 0; r >= 0 && i < TO_MAX; i++)
		r = table_cell(t, STYLE_PLAIN, row->to[i]);
	if (r >= 0)
		r = add_count(t, count_pages(row));
	if (r >= 0)
		r = add_count(t, row->n[REQUESTS]);
	if (r >= 0)
		r = format_bytes(&bytes, row->n[BYTES]);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, buf_str(&bytes));
	if (r >= 0)
		r = add_count(t, row->n[TOKENS_IN] + row->n[TOKENS_OUT]);
	if (r >= 0)
		r = format_money(&cost, row->n[COST]);
	if (r >= 0)
		r = table_cell(t, STYLE_PLAIN, buf_str(&cost));
	if (r >= 0)
		r = add_count(t, row->n[REFUSED]);
	return r < 0 ? r : add_count(t, row->n[CUT_OFF]);
}

static int put_text(struct audit_report *r, struct ctl *c)
{
	static const char *const titles[] = {"", "backend", "host", "region", "model", ">pages", ">requests", ">bytes", ">tokens", ">cost",
		">refused", ">cut off", NULL};
	_cleanup_table_ struct table *t = NULL;
	_cleanup_buf_ struct buf out = {};
	int e = table_new(titles, &t);

	for (size_t i = 0; e >= 0 && i < r->n; i++)
		e = add_text_row(t, &r->rows[i]);
	if (e >= 0)
		e = r->n > 0 ? table_print(t, &c->look, true, 0, 0, &out) : buf_adds(&out, "no receipts\n");
	return e < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

int audit_report_put(struct audit_report *r, struct ctl *c)
{
	int e = EXIT_WELL;

	if (r->n > 0)
		qsort(r->rows, r->n, sizeof(r->rows[0]), by_weight);
	if (c->options.csv)
		return put_csv(r);
	if (!c->options.json)
		return put_text(r, c);
	for (size_t i = 0; e == EXIT_WELL && i < r->n; i++)
		e = put_json(&r->rows[i]);
	return e;
}
