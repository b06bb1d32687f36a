#include "ctl/audit.h"

#include "tests/unit/test.h"

TEST(what_counts_as_australia)
{
	static const struct {
		const char *host, *region;
		bool in;
	} cases[] = {
		{"bedrock-runtime.ap-southeast-2.amazonaws.com", "ap-southeast-2", true},
		{"vpce-1.bedrock-runtime.ap-southeast-4.vpce.amazonaws.com", "ap-southeast-4", true},
		{"", "", true}, /* a helper */
		{"10.1.2.3", "", true},
		{"172.31.0.9", "", true},
		{"192.168.55.1", "", true},
		{"[fe80::1%eth0]", "", true},
		{"[fd00::7]", "", true},
		{"::1", "", true},
		{"bedrock-runtime.us-east-1.amazonaws.com", "us-east-1", false},
		/* the one says this, the other that */
		{"bedrock-runtime.us-east-1.amazonaws.com", "ap-southeast-2", false},
		{"bedrock-runtime.ap-southeast-2.amazonaws.com", "ap-southeast-4", false},
		{"bedrock-runtime.ap-southeast-2.amazonaws.com", "", false},
		{"bedrock-runtime.ap-southeast-21.amazonaws.com", "ap-southeast-2", false},
		{"bedrock-runtime.ap-southeast-1.amazonaws.com", "ap-southeast-1", false},
		{"10.1.2.3", "us-east-1", false},
		{"", "us-east-1", false},
		{"172.32.0.1", "", false},
		{"8.8.8.8", "", false},
		{"[2001:db8::1]", "", false},
		{"10.example.com", "", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (audit_in_australia(cases[i].host, cases[i].region) != cases[i].in)
			test_fail(__FILE__, __LINE__, "%s %s", cases[i].host, cases[i].region);
}
