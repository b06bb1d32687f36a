#include "cloud/xml.h"
#include "tests/unit/test.h"

static struct buf out;

static int get(const char *text, const char *path)
{
	buf_free(&out);
	out = BUF_MAX(64);
	return xml_get(text, strlen(text), path, &out);
}

TEST(value_by_path)
{
	static const char text[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<A xmlns=\"https://sts/\">\n <x>no</x><B k='v' l=\"w\"><x>yes</x>"
				   "<e/><y>a&amp;b&lt;&gt;&quot;&apos;&#65;&#x42;&#233;</y></B >\n</A>\n";

	CHECK_INT(get(text, "A/B/x"), 0);
	CHECK_STR(buf_str(&out), "yes");
	CHECK_INT(get(text, "A/x"), 0);
	CHECK_STR(buf_str(&out), "no");
	CHECK_INT(get(text, "A/B/y"), 0);
	CHECK_STR(buf_str(&out), "a&b<>\"'AB\xc3\xa9");
	CHECK_INT(get(text, "A/B/e"), 0);
	CHECK_STR(buf_str(&out), "");
	CHECK_INT(get(text, "A/B/z"), -ENOENT);
	CHECK_INT(get(text, "B/x"), -ENOENT);
	CHECK_INT(get(text, "A/B"), -EBADMSG); /* has others inside */
	buf_free(&out);
}

TEST(refused)
{
	static const char *const bad[] = {"", " ", "x", "<A>", "<A></B>", "</A>", "<A/><A/>", "<A/>x", "<A><B></A></B>", "<A", "<A k>", "<A k=v/>",
		"<A k=\"<\"/>", "<A k=\"v/>", "<A k=\"v\"l=\"w\"/>", "<!DOCTYPE A><A/>", "<A><!-- --></A>", "<A><![CDATA[x]]></A>",
		"<A>&bad;</A>", "<A>&#0;</A>", "<A>&#xd800;</A>", "<A>&#;</A>", "<A>&#x;</A>", "<A>&#1114112;</A>", "<A>&amp</A>",
		"<A>\x01</A>", "<A>\xff</A>", "<?xml <A/>", "<A><?x?></A>", "< A/>",
		"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (get(bad[i], "A/B") != -EBADMSG)
			test_fail(__FILE__, __LINE__, "%s", bad[i]);
	CHECK_INT(get("<A><B>1</B><B>2</B></A>", "A/B"), -EBADMSG); /* which one? */
	CHECK_INT(xml_get("<A>\0</A>", 8, "A", &out), -EBADMSG);
	buf_free(&out);
}

TEST(value_over_its_cap)
{
	char text[200];

	memset(text, 'x', sizeof(text));
	memcpy(text, "<A>", 3);
	memcpy(text + 190, "</A>", 5);
	CHECK_INT(get(text, "A"), -EMSGSIZE);
	buf_free(&out);
}
