#include "base/jsonscan.h"

enum {
	BEGIN,       /* of the text */
	VALUE,       /* a value must come */
	VALUE_OR_END, /* or the end of an array that is empty so far */
	NAME,        /* a member's name must come */
	NAME_OR_END, /* or the end of an object that is empty so far */
	NAME_TEXT,   /* inside a name */
	NAME_ESCAPE,
	COLON,
	TEXT,        /* inside a string */
	ESCAPE,
	WORD,        /* inside true, false or null */
	SIGN,        /* a number's digits must come */
	ZERO,
	DIGITS,
	POINT,       /* a digit of the fraction must come */
	FRACTION,
	EXPONENT,    /* a sign or digit of it must come */
	EXPONENT_SIGN,
	EXPONENT_DIGITS,
	AFTER,       /* a value has ended: a comma or an end */
	WHOLE,
	WRONG,
};

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool in_array(const struct jsonscan *s)
{
	return s->arrays >> (s->depth - 1) & 1;
}

static int open_level(struct jsonscan *s, bool array)
{
	if (s->depth == JSON_MAX_DEPTH)
		return WRONG;
	s->arrays &= ~(UINT64_C(1) << s->depth);
	s->arrays |= (uint64_t)array << s->depth;
	s->depth++;
	return array ? VALUE_OR_END : NAME_OR_END;
}

static int close_level(struct jsonscan *s, bool array)
{
	if (in_array(s) != array)
		return WRONG;
	s->depth--;
	return s->depth ? AFTER : WHOLE;
}

static int start_value(struct jsonscan *s, char c)
{
	switch (c) {
	case '{':
	case '[':
		return open_level(s, c == '[');
	case '"':
		return TEXT;
	case '-':
		return SIGN;
	case '0':
		return ZERO;
	case 't':
		s->word = "rue";
		return WORD;
	case 'f':
		s->word = "alse";
		return WORD;
	case 'n':
		s->word = "ull";
		return WORD;
	default:
		return digit(c) ? DIGITS : WRONG;
	}
}

static int after_value(struct jsonscan *s, char c)
{
	if (blank(c))
		return AFTER;
	if (c == ',')
		return in_array(s) ? VALUE : NAME;
	return c == '}' || c == ']' ? close_level(s, c == ']') : WRONG;
}

static int in_text(char c, int text, int escape, int end)
{
	if (c == '"')
		return end;
	if (c == '\\')
		return escape;
	return (unsigned char)c < 0x20 ? WRONG : text;
}

static int in_escape(struct jsonscan *s, char c, int text, int escape)
{
	if (s->hex) {
		s->hex--;
		if (!digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))
			return WRONG;
		return s->hex ? escape : text;
	}
	if (c == 'u') {
		s->hex = 4;
		return escape;
	}
	return c && strchr("\"\\/bfnrt", c) ? text : WRONG;
}

/* A number ends where something else begins. */
static int in_number(struct jsonscan *s, char c)
{
	bool fraction = s->state == ZERO || s->state == DIGITS;

	if (digit(c) && s->state != ZERO)
		return s->state;
	if (c == '.' && fraction)
		return POINT;
	if ((c == 'e' || c == 'E') && (fraction || s->state == FRACTION))
		return EXPONENT;
	return after_value(s, c);
}

static int between(struct jsonscan *s, char c)
{
	if (blank(c))
		return s->state;
	switch (s->state) {
	case BEGIN:
		return c == '{' ? open_level(s, false) : WRONG;
	case VALUE_OR_END:
		return c == ']' ? close_level(s, true) : start_value(s, c);
	case VALUE:
		return start_value(s, c);
	case NAME_OR_END:
		return c == '}' ? close_level(s, false) : c == '"' ? NAME_TEXT : WRONG;
	case NAME:
		return c == '"' ? NAME_TEXT : WRONG;
	case COLON:
		return c == ':' ? VALUE : WRONG;
	default:
		return WRONG; /* something behind the whole, or what was wrong before */
	}
}

static int step(struct jsonscan *s, char c)
{
	switch (s->state) {
	case NAME_TEXT:
		return in_text(c, NAME_TEXT, NAME_ESCAPE, COLON);
	case NAME_ESCAPE:
		return in_escape(s, c, NAME_TEXT, NAME_ESCAPE);
	case TEXT:
		return in_text(c, TEXT, ESCAPE, AFTER);
	case ESCAPE:
		return in_escape(s, c, TEXT, ESCAPE);
	case WORD:
		if (c != *s->word++)
			return WRONG;
		return *s->word ? WORD : AFTER;
	case SIGN:
		return c == '0' ? ZERO : digit(c) ? DIGITS : WRONG;
	case POINT:
		return digit(c) ? FRACTION : WRONG;
	case EXPONENT:
		return c == '+' || c == '-' ? EXPONENT_SIGN : digit(c) ? EXPONENT_DIGITS : WRONG;
	case EXPONENT_SIGN:
		return digit(c) ? EXPONENT_DIGITS : WRONG;
	case ZERO:
	case DIGITS:
	case FRACTION:
	case EXPONENT_DIGITS:
		return in_number(s, c);
	case AFTER:
		return after_value(s, c);
	case WRONG:
		return WRONG;
	default:
		return between(s, c);
	}
}

int jsonscan_take(struct jsonscan *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len && s->state != WRONG; i++)
		s->state = step(s, text[i]);
	return s->state == WRONG ? -EBADMSG : s->state == WHOLE;
}
