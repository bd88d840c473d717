package alerts_test

import (
	"slices"
	"strings"
	"testing"

	match "github.com/prometheus/alertmanager/pkg/labels"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/announce"
)

// An inhibition is one of the example's, with matchers as Alertmanager reads them.
type inhibition struct {
	source, target match.Matchers
	equal          []string
}

func inhibitions(t *testing.T) []inhibition {
	t.Helper()
	var file struct {
		Rules []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
			Equal  []string
		} `yaml:"inhibit_rules"`
	}
	readYAML(t, "alertmanager.yml", &file)
	matchers := func(texts []string) match.Matchers {
		var out match.Matchers
		for _, text := range texts {
			m, err := match.ParseMatcher(text)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, m)
		}
		return out
	}
	var out []inhibition
	for _, r := range file.Rules {
		out = append(out, inhibition{matchers(r.Source), matchers(r.Target), r.Equal})
	}
	if len(out) == 0 {
		t.Fatal("the example has no inhibit_rules")
	}
	return out
}

type labelled map[string]string

func (l labelled) match(ms match.Matchers) bool {
	return !slices.ContainsFunc(ms, func(m *match.Matcher) bool { return !m.Matches(l[m.Name]) })
}

// A seenAlert is one that fired in the rules' own tests.
type seenAlert struct {
	labels      labelled
	annotations map[string]string
}

// seen are the alerts that fired there, by name.
func seen(t *testing.T) map[string][]seenAlert {
	t.Helper()
	out := map[string][]seenAlert{}
	for _, path := range testFiles(t) {
		var file struct {
			Tests []struct {
				Alerts []struct {
					Name string `yaml:"alertname"`
					Want []struct {
						Labels      labelled          `yaml:"exp_labels"`
						Annotations map[string]string `yaml:"exp_annotations"`
					} `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readYAML(t, path, &file)
		for _, test := range file.Tests {
			for _, a := range test.Alerts {
				for _, want := range a.Want {
					want.Labels["alertname"] = a.Name
					out[a.Name] = append(out[a.Name], seenAlert{want.Labels, want.Annotations})
				}
			}
		}
	}
	return out
}

// known are these, and what the remediator says itself: no rule makes that.
func known(t *testing.T) map[string][]seenAlert {
	t.Helper()
	all := seen(t)
	for _, name := range announce.Names {
		all[name] = []seenAlert{{
			labels:      labelled{"alertname": name, "device": "edge1", "pool": "shop", "member": "s1", "severity": "warning"},
			annotations: map[string]string{"summary": name + " on edge1"},
		}}
	}
	return all
}

// TestNoClaimIsMuted: the remediator reads from Alertmanager that a claim is muted
// and keeps its hands off.
func TestNoClaimIsMuted(t *testing.T) {
	t.Parallel()
	for _, in := range inhibitions(t) {
		if !slices.ContainsFunc(in.target, func(m *match.Matcher) bool {
			return m.Name == edge.LabelRemediation && m.Type == match.MatchEqual && m.Value == ""
		}) {
			t.Errorf("%v may mute a claim: write remediation=\"\" among its targets", in.target)
		}
	}
}

// TestInhibitionsFindTheirAlerts: each name stands for an alert that exists, and a
// label that must be equal is one that both sides have: two that lack it are equal
// too, and one would mute all the others.
func TestInhibitionsFindTheirAlerts(t *testing.T) {
	t.Parallel()
	all := known(t)
	for _, in := range inhibitions(t) {
		for side, ms := range map[string]match.Matchers{"source": in.source, "target": in.target} {
			found := 0
			for name, alerts := range all {
				if !(labelled{"alertname": name}).match(named(ms)) {
					continue
				}
				found++
				for _, a := range alerts {
					for _, equal := range in.equal {
						if a.labels[equal] == "" {
							t.Errorf("%s %v: %s has no label %s", side, ms, name, equal)
						}
					}
				}
			}
			if found == 0 {
				t.Errorf("%s %v stands for no alert", side, ms)
			}
		}
	}
}

// named are the matchers on the alert's name.
func named(ms match.Matchers) match.Matchers {
	return slices.DeleteFunc(slices.Clone(ms), func(m *match.Matcher) bool { return m.Name != "alertname" })
}

func TestInhibitions(t *testing.T) {
	t.Parallel()
	alert := func(pairs string) labelled {
		out := labelled{}
		for pair := range strings.FieldsSeq(pairs) {
			k, v, _ := strings.Cut(pair, "=")
			out[k] = v
		}
		return out
	}
	for name, tt := range map[string]struct {
		source, target string
		muted          bool
	}{
		"a mass failure mutes its own probes": {
			"alertname=ProbesMassFailure job=e instance=a", "alertname=ProbeFailing job=e instance=a target=x", true,
		},
		"and not those of another exporter": {
			"alertname=ProbesMassFailure job=e instance=a", "alertname=ProbeFailing job=e instance=b target=x", false,
		},
		"nor a claim": {
			"alertname=ProbesMassFailure job=e instance=a", "alertname=MemberFailing remediation=drain device=edge1 pool=shop member=s1", false,
		},
		"a mass failure mutes what probes say of servers": {
			"alertname=ProbesMassFailure job=e instance=a", "alertname=HAProxyServerFailingInRotation device=edge1 pool=shop member=s1", true,
		},
		"a device that can't be read mutes its servers": {
			"alertname=DeviceUnreachable device=edge1 kind=haproxy", "alertname=HAProxyServerDown device=edge1 pool=shop member=s1", true,
		},
		"and no other's": {
			"alertname=DeviceUnreachable device=edge2 kind=haproxy", "alertname=HAProxyServerDown device=edge1 pool=shop member=s1", false,
		},
		"nor its refused login, which is the reason": {
			"alertname=DeviceUnreachable device=waf1 kind=ptaf", "alertname=PTAFApiAuthFailing device=waf1", false,
		},
		"a pool without members mutes low redundancy": {
			"alertname=HAProxyBackendNoServerInRotation device=edge1 pool=shop", "alertname=PoolLowRedundancy device=edge1 pool=shop", true,
		},
		"and not that of another pool": {
			"alertname=HAProxyBackendNoServerInRotation device=edge1 pool=shop", "alertname=PoolLowRedundancy device=edge1 pool=web", false,
		},
		"nor the claim on the pool": {
			"alertname=PoolAllFailing device=waf1 pool=shop", "alertname=PoolBypass remediation=bypass device=waf1 pool=shop", false,
		},
		"a waiting approval mutes the rule that says the same": {
			"alertname=SluiceApprovalWaits device=edge1 pool=shop", "alertname=RemediatorApprovalWaiting device=edge1 pool=shop", true,
		},
		"and no claim": {
			"alertname=SluiceApprovalWaits device=edge1 pool=shop", "alertname=MemberFailing remediation=drain device=edge1 pool=shop member=s1", false,
		},
		"a storm mutes the refusals of the brake": {
			"alertname=RemediatorStormBrake job=r instance=a", "alertname=RemediatorRefusing job=r instance=a guard=brake", true,
		},
		"and no others": {
			"alertname=RemediatorStormBrake job=r instance=a", "alertname=RemediatorRefusing job=r instance=a guard=min_serving", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, target := alert(tt.source), alert(tt.target)
			muted := slices.ContainsFunc(inhibitions(t), func(in inhibition) bool {
				return source.match(in.source) && target.match(in.target) &&
					!slices.ContainsFunc(in.equal, func(l string) bool { return source[l] != target[l] })
			})
			if muted != tt.muted {
				t.Errorf("muted: %t, want %t", muted, tt.muted)
			}
		})
	}
}
