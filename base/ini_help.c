/* The reference text of a configuration, made from its table. It is itself a configuration that says nothing.
 */
#include "base/ini_internal.h"
#include "base/text.h"

#define WRAP_COLUMNS 100

static const char preamble[] = "# Every section and key, with its default. A line that starts with # or ; is "
			       "a comment; a comment has a line of its own.\n"
			       "# A file FILE.d/NAME.conf overrides what FILE says; such files are read in "
			       "the order of their names.\n";

/* "# " and the text, wrapped at words. */
static int add_comment(struct buf *out, const char *text)
{
	size_t column = 0;
	int r = 0;

	while (*text && r == 0) {
		size_t blanks = strspn(text, " \n"), len = strcspn(text + blanks, " \n");

		text += blanks;
		if (len == 0)
			break;
		if (column == 0 || column + 1 + len > WRAP_COLUMNS) {
			r = buf_adds(out, column == 0 ? "# " : "\n# ");
			column = 2;
		} else {
			r = buf_addc(out, ' ');
			column++;
		}
		if (r == 0)
			r = buf_add(out, text, len);
		column += len;
		text += len;
	}
	return r == 0 && column > 0 ? buf_addc(out, '\n') : r;
}

static int add_section(struct buf *out, const char *section)
{
	if (ini_section_named(section)) /* as a comment: NAME is to be replaced */
		return buf_addf(out, "\n#[%.*sNAME]\n", (int)strlen(section) - 1, section);
	return buf_addf(out, "\n[%s]\n", section);
}

static int add_key(struct buf *out, const struct ini_key *k)
{
	int r = k->help ? add_comment(out, k->help) : 0;

	return r < 0 ? r : buf_addf(out, "#%s=%s\n", k->key, k->default_value ? k->default_value : "");
}

int ini_help(const struct ini_table *t, struct buf *out)
{
	int r = buf_adds(out, preamble);

	for (size_t i = 0; i < t->n_keys && r == 0; i++) {
		const char *section = t->keys[i].section;
		bool first = true;

		for (size_t j = 0; j < i; j++)
			first &= !streq(t->keys[j].section, section);
		if (!first)
			continue;
		r = add_section(out, section);
		for (size_t j = i; j < t->n_keys && r == 0; j++)
			if (streq(t->keys[j].section, section))
				r = add_key(out, &t->keys[j]);
	}
	return r;
}
