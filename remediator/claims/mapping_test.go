package claims

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/edge"
)

func TestKeyTellsLabelSetsApart(t *testing.T) { // I9
	if got, want := Key(map[string]string{"b": "x\ny", "a": `"`, "c d": ""}), `{a="\"", b="x\ny", "c d"=""}`; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune(`ab",={} \`)))
		set := rapid.MapOfN(text, text, 0, 3)
		a, b := set.Draw(t, "a"), set.Draw(t, "b")
		if same := cmp.Equal(a, b); same != (Key(a) == Key(b)) {
			t.Fatalf("%q and %q: %s and %s", a, b, Key(a), Key(b))
		}
	})
}

func TestMapping(t *testing.T) {
	m, err := NewMapping([]Entry{
		{Match: []string{`alertname="HostDown"`, `job=~"shop.*"`}, Policy: "drain", Address: "instance"},
		{Match: []string{`alertname="HostDown"`}, Policy: "maint", Address: "instance", Device: "lb"},
		{Match: []string{`alertname="BackendSick"`}, Policy: "drain"},
		{Match: []string{`alertname="PoolSick"`}, Policy: "drain", Pool: "backend"},
	})
	if err != nil {
		t.Fatal(err)
	}
	type want struct {
		Policy, Address string
		Member          edge.Member
		PoolOnly        bool
	}
	s1 := edge.Member{Device: "edge1", Pool: "shop", Name: "s1"}
	tests := []struct {
		name   string
		labels map[string]string
		want   *want
	}{
		{"our own label names policy and member", map[string]string{"remediation": "drain", "device": "edge1", "pool": "shop", "member": "s1"}, &want{Policy: "drain", Member: s1}},
		{"our own label goes before every entry", map[string]string{"remediation": "maint", "alertname": "HostDown", "instance": "192.0.2.1:80"}, &want{Policy: "maint"}},
		{"an address selects", map[string]string{"alertname": "HostDown", "job": "shop-a", "instance": "192.0.2.1:80"}, &want{Policy: "drain", Address: "192.0.2.1:80"}},
		{"the first entry that matches rules", map[string]string{"alertname": "HostDown", "job": "mail", "instance": "192.0.2.1:80", "lb": "edge1"}, &want{Policy: "maint", Address: "192.0.2.1:80", Member: edge.Member{Device: "edge1"}}},
		{"with an address, labels that no entry names don't select", map[string]string{"alertname": "HostDown", "job": "mail", "instance": "192.0.2.1:80", "pool": "shop"}, &want{Policy: "maint", Address: "192.0.2.1:80"}},
		{"an alert that lacks its address is a claim on nobody", map[string]string{"alertname": "HostDown", "job": "mail"}, &want{Policy: "maint"}},
		{"without an address the usual labels name the member", map[string]string{"alertname": "BackendSick", "device": "edge1", "pool": "shop", "member": "s1"}, &want{Policy: "drain", Member: s1}},
		{"a pool without a member is a claim on the pool", map[string]string{"alertname": "PoolSick", "device": "edge1", "backend": "shop", "pool": "x"}, &want{Policy: "drain", Member: edge.Member{Device: "edge1", Pool: "shop"}, PoolOnly: true}},
		{"the watchdog claims nothing", map[string]string{"remediation": "watchdog", "device": "edge1", "pool": "shop", "member": "s1"}, nil},
		{"other people's alerts are none of ours", map[string]string{"alertname": "DiskFull", "instance": "192.0.2.1:80"}, nil},
		{"an empty label asks for nothing", map[string]string{"remediation": "", "device": "edge1", "pool": "shop", "member": "s1"}, nil},
		{"text that would be a command stays text (I21)", map[string]string{"remediation": "drain", "device": "edge1", "pool": "shop", "member": "s1;\nshutdown"}, &want{Policy: "drain", Member: edge.Member{Device: "edge1", Pool: "shop", Name: "s1;\nshutdown"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, ok := m.Claim(tt.labels)
			var got *want
			if ok {
				got = &want{c.Policy, c.Address, c.Member, c.PoolOnly}
				if c.Key != Key(tt.labels) {
					t.Errorf("key %s", c.Key)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if wants := m.Wants(tt.labels); wants != (tt.want != nil || tt.labels["remediation"] == Watchdog) {
				t.Errorf("Wants says %v", wants)
			}
		})
	}
	t.Run("each entry is a question of its own", func(t *testing.T) {
		want := [][]string{
			{`remediation=~".+"`},
			{`alertname="HostDown"`, `job=~"shop.*"`},
			{`alertname="HostDown"`},
			{`alertname="BackendSick"`},
			{`alertname="PoolSick"`},
		}
		if d := cmp.Diff(want, m.filters()); d != "" {
			t.Error(d)
		}
	})
}

func TestMatchers(t *testing.T) {
	tests := []struct {
		name  string
		match []string
		err   string
	}{
		{"equal", []string{`alertname="HostDown"`}, ""},
		{"several of which one picks", []string{`severity!="info"`, `alertname=~"Host.+"`}, ""},
		{"a quoted UTF-8 name", []string{`"хост"="a"`}, ""},
		{"the classic form without quotes", []string{`alertname=HostDown`}, ""},
		{"none is not all (I2)", nil, "match is empty"},
		{"one that every alert without the label passes (I2)", []string{`alertname!="x"`}, "every matcher also matches"},
		{"an empty text (I2)", []string{`alertname=""`}, "every matcher also matches"},
		{"a regexp for anything (I2)", []string{`alertname=~".*"`}, "every matcher also matches"},
		{"no operator", []string{"HostDown"}, `matcher "HostDown": want`},
		{"a regexp that isn't one", []string{`alertname=~"("`}, `want name, one of`},
		{"two in one", []string{`a="b",c="d"`}, "want name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseMatchers(tt.match)
			switch {
			case tt.err == "" && err != nil:
				t.Error(err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v; want %q", err, tt.err)
			}
		})
	}
	_, err := NewMapping([]Entry{{Match: []string{`a="b"`}, Policy: "drain"}, {Match: []string{`a!="b"`}, Policy: "drain"}})
	if !errors.Is(err, ErrMatchesAll) || !strings.HasPrefix(err.Error(), "claims[1]: ") {
		t.Errorf("got %v", err)
	}
	for _, policy := range []string{"", Watchdog} {
		if _, err := NewMapping([]Entry{{Match: []string{`a="b"`}, Policy: policy}}); err == nil {
			t.Errorf("policy %q was taken", policy)
		}
	}
}
