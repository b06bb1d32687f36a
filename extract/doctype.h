/*
 * Document types: what is asked of a page, as files (configs/documents/NAME.json; format in docs/document-types.md).
 * A typeset is the frozen list of types that a job carries: one type when the operator named it, all of them for "auto",
 * "universal" first. The first type is the one a model is asked for; OCR may classify among all.
 */
#pragma once

#include "base/json.h"

enum field_kind {
	FIELD_TEXT,
	FIELD_MONEY,   /* decimal string with two digits, "1234.50", "-3.00" */
	FIELD_DATE,    /* ISO 8601, "2026-11-21" */
	FIELD_ABN,     /* 11 digits, no blanks */
	FIELD_INTEGER, /* JSON integer */
	FIELD_DECIMAL, /* decimal string, as written, normalised: "2.5" */
	FIELD_ENUM,    /* one of the schema's enum */
	FIELD_ROWS,    /* array of objects; columns are fields */
};

struct field_spec {
	const char *name;  /* all pointers borrow from doctype.json */
	const char *title; /* for people */
	enum field_kind kind;
	const cJSON *schema; /* schema.properties[name] (or items.properties[name] of a column) */
	const cJSON *labels; /* array of strings: how pages name the field; may be NULL */
	bool required; /* is a page without it incomplete? (of a column: a row) */
	struct field_spec *columns; /* FIELD_ROWS only; owned by the doctype */
	size_t n_columns;
};

#define DOCTYPE_FIELDS_MAX  64
#define DOCTYPE_COLUMNS_MAX 32
#define DOCTYPE_EXAMPLES_MAX 8

/* How a model is asked, beside the prompt; all pointers borrow from doctype.json. */
struct doctype_ask {
	const char *system;    /* NULL: the extractor's own words */
	bool plain;            /* the answer is asked for in words, not by a tool */
	const cJSON *examples; /* array of objects with "page" (text) and "answer" (object, by the schema); NULL: none */
	const cJSON *temperature, *top_p; /* numbers from 0 to 1; NULL: not said; never both */
	int64_t top_k;         /* 0: not said */
};

struct doctype {
	cJSON *json;         /* owned: the whole file */
	const char *name;    /* borrowed from json, as are the rest */
	const char *title;
	int64_t version;     /* of prompt and schema together; raised with every change */
	const char *prompt;
	const cJSON *schema; /* JSON Schema, only keywords of extract/schema.h */
	const cJSON *classify; /* array of strings that tell the type from a page's words; may be NULL */
	const cJSON *checks;   /* array of objects; extract/checks.h */
	const cJSON *ocr;      /* hints for extract/ocrmap.h; may be NULL */
	struct doctype_ask ask;
	bool image_flatten, image_contrast; /* what is done with the page's image before it is sent */
	struct field_spec *fields;
	size_t n_fields;
};

/* Reads one type from its JSON text. -EBADMSG with a message for people in `why` ("NAME.json: fields[3].kind: ..."). */
int doctype_parse(const char *text, size_t len, struct doctype **ret, char *why, size_t why_size);
void doctype_free(struct doctype *t);
const struct field_spec *doctype_field(const struct doctype *t, const char *name); /* NULL if none */
const char *field_kind_name(enum field_kind k);

struct typeset {
	struct doctype **types; /* owned; types[0] is the one asked for */
	size_t n_types;
};

#define TYPESET_MAX 64

/* A typeset from its JSON array (as frozen in the spool). */
int typeset_parse(const char *text, size_t len, struct typeset **ret, char *why, size_t why_size);
void typeset_free(struct typeset *s);
const struct doctype *typeset_find(const struct typeset *s, const char *name); /* NULL if none */
/* The canonical JSON array (the bytes that are hashed) for a job of type `name`: "auto" is every type of `all` with "universal" first, else the one.
 * -ENOENT if `all` has no such type. */
int typeset_select(const struct typeset *all, const char *name, struct buf *out);
