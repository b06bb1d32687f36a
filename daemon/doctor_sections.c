#include "daemon/doctor.h"

const struct doctor_section doctor_sections[] = {
	{"clock", doctor_clock},
	{"spool", doctor_spool},
	{"configuration", doctor_configuration},
	{"prices", doctor_prices},
	{"helpers", doctor_helpers},
	{"backends", doctor_backends},
	{"credentials", doctor_credentials},
	{"residency", doctor_residency},
	{"receipts", doctor_receipts},
	{},
};
