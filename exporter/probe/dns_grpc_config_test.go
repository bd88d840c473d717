package probe_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-project/sluice/exporter/probe"
)

func TestMistakesOfDNSAndGRPCSayWhatToWrite(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		module string
		paths  []string
	}{
		{"{prober: dns}", []string{"dns.query_name"}},
		{"{prober: dns, dns: {query_name: a..b}}", []string{"dns.query_name"}},
		{
			"{prober: dns, dns: {query_name: a, query_type: X, query_class: Y, transport_protocol: quic, preferred_ip_protocol: v6, source_ip_address: here}}",
			[]string{"dns.query_type", "dns.query_class", "dns.transport_protocol", "dns.source_ip_address", "dns.preferred_ip_protocol"},
		},
		{"{prober: dns, dns: {query_name: a, valid_rcodes: [NOERROR, NONE]}}", []string{"dns.valid_rcodes[1]"}},
		{"{prober: dns, dns: {query_name: a, dns_over_tls: true}}", []string{"dns.transport_protocol"}},
		{"{prober: dns, dns: {query_name: a, tls_config: {ca_file: " + empty + "}}}", []string{"dns.tls_config"}},
		{
			"{prober: dns, dns: {query_name: a, validate_answer_rrs: {fail_if_matches_regexp: ['(']}, validate_authority_rrs: {fail_if_all_match_regexp: [a, '(']}, validate_additional_rrs: {fail_if_not_matches_regexp: ['('], fail_if_none_matches_regexp: ['(']}}}",
			[]string{
				"dns.validate_answer_rrs.fail_if_matches_regexp[0]", "dns.validate_authority_rrs.fail_if_all_match_regexp[1]",
				"dns.validate_additional_rrs.fail_if_not_matches_regexp[0]", "dns.validate_additional_rrs.fail_if_none_matches_regexp[0]",
			},
		},
		{"{prober: grpc, grpc: {preferred_ip_protocol: v6, metadata: {'a b': [c]}}}", []string{"grpc.metadata", "grpc.preferred_ip_protocol"}},
		{"{prober: grpc, grpc: {metadata: {grpc-timeout: [1S]}}}", []string{"grpc.metadata"}},
		{"{prober: grpc, grpc: {metadata: {key: [a, \"b\\nc\"]}}}", []string{"grpc.metadata.key[1]"}},
		{"{prober: grpc, grpc: {metadata: {key-bin: [\"b\\nc\"]}}}", nil},
		{"{prober: grpc, grpc: {tls_config: {ca_file: " + empty + "}}}", []string{"grpc.tls_config"}},
		{"{prober: grpc}", nil},
	} {
		var m probe.Module
		if err := yaml.Unmarshal([]byte(c.module), &m); err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, mistake := range m.Validate() {
			paths = append(paths, mistake.Path)
			if mistake.Text == "" || strings.Contains(mistake.Text, "\n") {
				t.Errorf("%s: %q", c.module, mistake.Text)
			}
		}
		slices.Sort(paths)
		slices.Sort(c.paths)
		if !slices.Equal(paths, c.paths) {
			t.Errorf("%s: mistakes at %v, want %v", c.module, paths, c.paths)
		}
	}
}

func TestFilesOfDNSAndGRPCAreWantedWhenTheyAreUsed(t *testing.T) {
	for _, c := range []struct{ module, want string }{
		{"{prober: dns, dns: {query_name: a, tls_config: {ca_file: nowhere.pem}}}", "dns.tls_config.ca_file: "},
		{"{prober: grpc, grpc: {tls_config: {cert_file: nowhere.pem, key_file: nowhere.key}}}", "grpc.tls_config.cert_file: "},
	} {
		m := module(t, c.module)
		m.SetDirectory("/etc/sluice")
		if why := m.Unserved(); !strings.HasPrefix(why, c.want) || !strings.Contains(why, "/etc/sluice/nowhere.pem") {
			t.Errorf("%s: %q", c.module, why)
		}
		if _, err := probe.New(m); err == nil {
			t.Errorf("%s: it can be built", c.module)
		}
	}
}

func TestTargetsOfDNSAndGRPC(t *testing.T) {
	d, g := module(t, "{prober: dns, dns: {query_name: a}}"), module(t, "{prober: grpc}")
	for _, c := range []struct {
		target    string
		dns, grpc bool
	}{
		{"ns.example.com", true, true},
		{"ns.example.com:5353", true, true},
		{"192.0.2.1", true, true},
		{"2001:db8::1", true, true},
		{"[2001:db8::1]", true, true},
		{"[2001:db8::1]:53", true, true},
		{"http://ns.example.com:53", false, true},
		{"https://ns.example.com:53/", false, true},
		{"https://user:canary@ns.example.com", false, false},
		{"http://ns.example.com/canary", false, false},
		{"ns.example.com:", false, false},
		{"ns.example.com:0", false, false},
		{"user:canary@ns.example.com", false, false},
		{":53", false, false},
		{"", false, false},
		{"a b", false, false},
	} {
		if err := d.CheckTarget(c.target); (err == nil) != c.dns || err != nil && strings.Contains(err.Error(), "user:") {
			t.Errorf("dns, %s: %v", c.target, err)
		}
		if err := g.CheckTarget(c.target); (err == nil) != c.grpc || err != nil && strings.Contains(err.Error(), "user:") {
			t.Errorf("grpc, %s: %v", c.target, err)
		}
	}
	for _, m := range []probe.Module{d, g} {
		if got, err := m.MemberTarget("https", "2001:db8::1", 53); got != "[2001:db8::1]:53" || err != nil {
			t.Errorf("%s: %s, %v", m.Prober, got, err)
		}
	}
}
