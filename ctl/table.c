#include "ctl/table.h"

#include "base/text.h"

struct cell {
	char *text; /* owned; NULL: empty */
	enum style style;
};

struct table {
	const char *titles[TABLE_COLUMNS_MAX]; /* borrowed, without '>' */
	bool right[TABLE_COLUMNS_MAX];
	size_t n_columns;
	struct cell *cells; /* owned; n_rows * n_columns */
	size_t n_rows;
	size_t at; /* next cell of the last row */
};

int table_new(const char *const *titles, struct table **ret)
{
	struct table *t;

	if (!titles[0])
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (; titles[t->n_columns] && t->n_columns < TABLE_COLUMNS_MAX; t->n_columns++) {
		t->right[t->n_columns] = titles[t->n_columns][0] == '>';
		t->titles[t->n_columns] = titles[t->n_columns] + t->right[t->n_columns];
	}
	*ret = t;
	return 0;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

int table_row(struct table *t)
{
	struct cell *cells = reallocarray(t->cells, (t->n_rows + 1) * t->n_columns, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	t->cells = cells;
	memset(&cells[t->n_rows * t->n_columns], 0, t->n_columns * sizeof(*cells));
	t->n_rows++;
	t->at = 0;
	return 0;
}

int table_cell(struct table *t, enum style style, const char *text)
{
	struct cell *c;

	if (!t->n_rows || t->at == t->n_columns)
		return -EINVAL;
	c = &t->cells[(t->n_rows - 1) * t->n_columns + t->at++];
	c->style = style;
	if (!text || !*text)
		return 0;
	c->text = strdup(text);
	return c->text ? 0 : -ENOMEM;
}

size_t table_rows(const struct table *t)
{
	return t->n_rows;
}

static int blanks(struct buf *out, size_t n)
{
	int r = 0;

	while (n-- > 0 && r >= 0)
		r = buf_addc(out, ' ');
	return r;
}

/* The text of a cell as it will be seen: what is measured is what is printed. */
static int cell_text(const struct look *l, const char *text, size_t cell_max, struct buf *out)
{
	return text ? format_text(out, l, text, cell_max) : 0;
}

static size_t cell_columns(const struct look *l, const char *text, size_t cell_max)
{
	_cleanup_buf_ struct buf b = {};

	return cell_text(l, text, cell_max, &b) < 0 ? 0 : text_columns(buf_str(&b));
}

static void measure(const struct table *t, const struct look *l, bool titles, size_t cell_max, size_t *widths)
{
	for (size_t c = 0; c < t->n_columns; c++) {
		widths[c] = 0;
		for (size_t r = 0; r < t->n_rows; r++)
			widths[c] = MAX(
				widths[c], cell_columns(l, t->cells[r * t->n_columns + c].text, cell_max));
		if (titles && widths[c])
			widths[c] = MAX(widths[c], text_columns(t->titles[c]));
	}
}

struct line {
	const struct look *look;
	size_t owed; /* blanks due before the next text: none are left at the end of a line */
	struct buf *out;
};

static int line_cell(
	struct line *l, const char *text, enum style style, bool right, size_t width, size_t cell_max)
{
	_cleanup_buf_ struct buf seen = {};
	size_t columns, pad;
	int r;

	r = cell_text(l->look, text, cell_max, &seen);
	if (r < 0)
		return r;
	columns = text_columns(buf_str(&seen));
	pad = width - MIN(width, columns);
	if (!columns) {
		l->owed += width + 2;
		return 0;
	}
	r = blanks(l->out, l->owed + (right ? pad : 0));
	if (r >= 0)
		r = format_styled(l->out, l->look, style, buf_str(&seen));
	l->owed = 2 + (right ? 0 : pad);
	return r;
}

static int print_row(const struct table *t, size_t row, const struct look *look, const size_t *widths,
	size_t indent, size_t cell_max, struct buf *out)
{
	struct line l = {.look = look, .owed = indent, .out = out};
	int r = 0;

	for (size_t c = 0; c < t->n_columns && r >= 0; c++) {
		const struct cell *cell = &t->cells[row * t->n_columns + c];

		if (widths[c])
			r = line_cell(&l, cell->text, cell->style, t->right[c], widths[c], cell_max);
	}
	return r < 0 ? r : buf_addc(out, '\n');
}

static int print_titles(
	const struct table *t, const struct look *look, const size_t *widths, size_t indent, struct buf *out)
{
	struct line l = {.look = look, .owed = indent, .out = out};
	int r = 0;

	for (size_t c = 0; c < t->n_columns && r >= 0; c++)
		if (widths[c])
			r = line_cell(&l, t->titles[c], STYLE_BOLD, t->right[c], widths[c], 0);
	return r < 0 ? r : buf_addc(out, '\n');
}

int table_print(const struct table *t, const struct look *l, bool titles, size_t indent, size_t cell_max,
	struct buf *out)
{
	size_t widths[TABLE_COLUMNS_MAX];
	int r = 0;

	measure(t, l, titles, cell_max, widths);
	if (titles && t->n_rows)
		r = print_titles(t, l, widths, indent, out);
	for (size_t row = 0; row < t->n_rows && r >= 0; row++)
		r = print_row(t, row, l, widths, indent, cell_max, out);
	return r;
}
