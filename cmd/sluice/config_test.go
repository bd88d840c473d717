package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEachMistakeHasItsLineAndWhatToWriteInstead(t *testing.T) {
	cases := []struct {
		file string
		want []string
	}{
		{"alertmanager_url.yml", []string{`10: remediation.alertmanagers[0].url: write the server's address, such as http://127.0.0.1:9093`}},
		{"claims.yml", []string{
			`14: remediation.claims[0].match: matcher "alertname=~\"Host(Down\"": want name, one of = != =~ !~, and a quoted value, such as alertname="HostDown"`,
			`18: remediation.claims[1].policy: there is no policy "drian"`,
		}},
		{"confirm_none_by_webhook.yml", []string{`11: remediation.policies[0].confirm: policy drain: none without alertmanagers would act on a webhook alone: configure alertmanagers, or confirm: probe`}},
		{"device_address.yml", []string{`3: devices[0].haproxy.address: address "ipv4@192.0.2.1:99999": port is not 1 to 65535: want a socket's path, ipv4@HOST:PORT, ipv6@[HOST]:PORT, HOST:PORT or http(s)://HOST/stats;csv`}},
		{"device_kind.yml", []string{`2: devices[0]: device "edge1" is of no kind: add haproxy: {address: /run/haproxy/admin.sock}, or ptaf, or ptafpro, with its url`}},
		{"device_name.yml", []string{`2: devices[0].name: "edge 1": want letters, digits, '.', ':', '_' or '-', at most 64`}},
		{"device_timeout.yml", []string{`5: devices[0].haproxy.timeout: "5 seconds" is not a duration: write one like 500ms, 30s, 1h30m or 90d`}},
		{"device_tls.yml", []string{`5: devices[0].haproxy.tls_config: a unix socket has no TLS: leave it out`}},
		{"device_twice.yml", []string{`4: devices[1].name: "edge1" is devices[0] already: names are used once`}},
		{"empty.yml", []string{`1: the file is empty: write devices, modules and probes into it`}},
		{"key_twice.yml", []string{`4: devices[0].name: stands here a second time, first on line 2: keep one`}},
		{"many.yml", []string{
			`3: devices[0].haproxy.timeot: unknown field: write "timeout"`,
			`4: devices[1].name: "edge1" is devices[0] already: names are used once`,
			`5: devices[1].haproxy.address: address "": is empty: want a socket's path, ipv4@HOST:PORT, ipv6@[HOST]:PORT, HOST:PORT or http(s)://HOST/stats;csv`,
			`9: modules.health.timeout: "soon" is not a duration: write one like 500ms, 30s, 1h30m or 90d`,
			`13: probes[0].fall: "three" is not a whole number: write one like 3`,
			`14: probes[0].members.device: "edge9" matches no device: write the name of one under devices, or a regular expression that matches some`,
			`15: probes[1].module: is missing: write the name of one of health`,
			`23: remediation.policies[0].members.device: "edge9" matches no device: write the name of one, or a regular expression that matches some`,
			`24: remediation.policies[0].min_serving: policy drain: min_serving is 0: the whole pool could go`,
		}},
		{"mode_missing.yml", []string{
			`8: remediation.mode: is missing: write observe, dry_run, approve or auto; there is no default`,
		}},
		{"mode_unknown.yml", []string{
			`9: remediation.mode: "automatic": write observe, dry_run, approve or auto`,
		}},
		{"module_method.yml", []string{`5: modules.health.http.method: "GET IT": write an HTTP method, such as GET`}},
		{"module_prober.yml", []string{`6: probes[0].module: health can't be used: there is no prober "https" here: use one of dns, grpc, http, icmp, tcp, unix`}},
		{"module_regexp.yml", []string{"5: modules.health.http.fail_if_body_not_matches_regexp[0]: is no regular expression (RE2): error parsing regexp: missing closing ): `\"db\":(\"up\"`"}},
		{"module_secret.yml", []string{
			`7: modules.health.http.basic_auth.password: want one value, not a list`,
			`8: modules.health.http.basic_auth.pasword: unknown field: write "password"`,
		}},
		{"module_status.yml", []string{`5: modules.health.http.valid_status_codes[1]: 2000: write a status code from 100 to 999`}},
		{"not_yaml.yml", []string{`3: not YAML: did not find expected '-' indicator: check how far it is indented, and put quotes around a value that holds : or #`}},
		{"policy_confirm.yml", []string{`16: remediation.policies[0].confirm: policy drain: "twice": write probe, prometheus, traffic or none`}},
		{"policy_device.yml", []string{`14: remediation.policies[0].members.device: "edge2" matches no device: write the name of one, or a regular expression that matches some`}},
		{"policy_key.yml", []string{`16: remediation.policies[0].hold-down: unknown field: write "hold_down"`}},
		{"policy_lease.yml", []string{`17: remediation.policies[0].max_hold: policy drain: 1d is shorter than the lease of 2d`}},
		{"policy_max_held.yml", []string{`16: remediation.policies[0].max_held: policy drain: -1: write 1 or more`}},
		{"policy_min_missing.yml", []string{`12: remediation.policies[0].min_serving: policy drain: is missing: write how many must go on serving, such as 2 or 50%; there is no default`}},
		{"policy_min_share.yml", []string{`15: remediation.policies[0].min_serving: policy drain: min_serving "150%": a share ends at 100%`}},
		{"policy_min_zero.yml", []string{`15: remediation.policies[0].min_serving: policy drain: min_serving is 0: the whole pool could go`}},
		{"policy_no_probe.yml", []string{`12: remediation.policies[0]: policy drain: no probe covers members, so nothing could confirm a claim: give one under probes members`}},
		{"policy_probe.yml", []string{`16: remediation.policies[0].probe: policy drain: there is no probe "shpo": write one of shop`}},
		{"policy_probe_targets.yml", []string{`17: remediation.policies[0].probe: policy drain: probe "site" covers no members, only targets: write one that has members`}},
		{"policy_prometheus.yml", []string{`16: remediation.policies[0].confirm: policy drain: prometheus needs remediation.prometheus: [{url: http://127.0.0.1:9090}]`}},
		{"policy_to.yml", []string{`13: remediation.policies[0].to: policy drain: "away": write drain, maint or bypass`}},
		{"probe_device.yml", []string{`9: probes[0].members.device: "edge2" matches no device: write the name of one under devices, or a regular expression that matches some`}},
		{"probe_endpoint.yml", []string{
			`5: probe_endpoint.allow[0]: write a name such as shop.example or *.example.com (in ASCII, a star only as the first label), a network such as 192.0.2.0/24, or a URL such as https://shop.example/*`,
			`6: probe_endpoint.allow[1]: a URL here begins with http:// or https://`,
			`7: probe_endpoint.allow[2]: has bits set behind its length: write 192.0.2.0/24`,
			`9: probe_endpoint.allow[4]: a URL here has neither user, query nor fragment: any query is allowed`,
			`10: probe_endpoint.allow[5]: write a name such as shop.example or *.example.com (in ASCII, a star only as the first label), a network such as 192.0.2.0/24, or a URL such as https://shop.example/*`,
			`12: probe_endpoint.deny[0]: write a network such as 192.0.2.0/24 or 2001:db8::/32, or an address without a zone`,
			`13: probe_endpoint.modules[0]: there is no module "helth": write the name of one of health`,
		}},
		{"probe_endpoint_empty.yml", []string{`3: probe_endpoint.allow: is missing: write what may be probed, such as '*.example.com' or 192.0.2.0/24`}},
		{"probe_module.yml", []string{`5: probes[0].module: there is no module "heatlh": write the name of one of health`}},
		{"probe_nothing.yml", []string{`4: probes[0]: probes nothing: write targets, or members to take them from the devices`}},
		{"probe_regexp.yml", []string{"9: probes[0].members.pool: \"shop(\" is no regular expression (RE2): error parsing regexp: missing closing ): `shop(`"}},
		{"probe_retry.yml", []string{`7: probes[0].fast_retry: 2s is longer than the interval of 1s: write a shorter one, or leave it out`}},
		{"probe_target.yml", []string{`8: probes[0].targets[1]: is no URL: write http://HOST or https://HOST`}},
		{"probe_twice.yml", []string{`5: probes[1].name: "shop" is taken by probes[0]: give each probe its own name`}},
		{"tab.yml", []string{`2: not YAML: found character that cannot start any token: indent with spaces, not with tabs`}},
		{"two_documents.yml", []string{`2: a second document starts here: keep all in one, without "---"`}},
		{"unknown_key.yml", []string{`4: devices[0].haproxy.adress: unknown field: write "address"`}},
		{"unknown_section.yml", []string{`1: device: unknown field: write "devices"`}},
	}
	tested := make(map[string]bool)
	for _, c := range cases {
		tested[c.file] = true
		t.Run(c.file, func(t *testing.T) {
			path := filepath.Join("testdata", "bad", c.file)
			_, err := load(path)
			var wrong *mistakesError
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v, want mistakes", err)
			}
			var got []string
			for _, line := range wrong.Lines() {
				got = append(got, strings.TrimPrefix(line, path+":"))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if strings.Contains(err.Error(), "not-a-real") {
				t.Errorf("a mistake shows a secret: %v", err)
			}
		})
	}
	files, err := os.ReadDir("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !tested[f.Name()] {
			t.Errorf("nothing is said of testdata/bad/%s", f.Name())
		}
	}
}

func TestGoodFilesAreTaken(t *testing.T) {
	for file, want := range map[string]string{
		"testdata/good/whole.yml":         "2 devices, 2 modules, 3 probes, 2 policies in mode auto",
		"testdata/good/exporter_only.yml": "1 device, 0 modules, 0 probes, no remediation",
		"../../deploy/sluice.yml":         "1 device, 2 modules, 2 probes, 1 policy in mode observe",
	} {
		l, err := load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := l.summary(); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
		if strings.Contains(l.masked, "not-a-real") {
			t.Errorf("%s: a secret is shown:\n%s", file, l.masked)
		}
		if _, wrong := parse([]byte(l.masked)); wrong != nil {
			t.Errorf("%s: what is shown is not YAML: %v", file, wrong)
		}
	}
}

func TestRelativePathsAreRelativeToTheFile(t *testing.T) {
	l, err := load("testdata/good/whole.yml")
	if err != nil {
		t.Fatal(err)
	}
	want, err := filepath.Abs("testdata/good/data/sluice.db")
	if err != nil {
		t.Fatal(err)
	}
	if l.Remediation.Journal != want {
		t.Errorf("journal %s, want %s", l.Remediation.Journal, want)
	}
}
