package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/guard"
	"github.com/sluice-project/sluice/remediator/journal"
)

// What is said here are likely causes, each with the first command that tells more.

// untaken is why an Alertmanager didn't take the alert.
func untaken(a alertmanager, err error, theirs bool) (cause, look string) {
	look = "curl -sv " + a.url + "/-/ready"
	status := (*statusError)(nil)
	switch {
	case !errors.As(err, &status):
		cause = "it doesn't run there, or a firewall is between"
		if theirs {
			cause += "; the address is the one by which the remediator asks it: where that isn't yours, name yours by --alertmanager.url"
		}
	case status.code == http.StatusUnauthorized, status.code == http.StatusForbidden:
		cause = "it wants to know who asks: name a file with the credentials by --alertmanager.http.config.file"
	case status.code == http.StatusNotFound, status.code == http.StatusMethodNotAllowed:
		cause = "something else answers there, or Alertmanager's --web.route-prefix is missing in the URL"
	default:
		cause = "Alertmanager doesn't take the alert"
	}
	return cause, look
}

// unhooked is why no webhook came.
func (d *drill) unhooked(ctx context.Context, s *shown) (cause, look string) {
	am := d.ams[0]
	if s == nil {
		return "where the alert goes isn't known, see above", "amtool config routes show --alertmanager.url=" + am.url
	}
	for _, a := range d.ams { // as it is now: somebody may have silenced it meanwhile
		if now, err := a.show(ctx, d.view.ID); err == nil {
			now.plan = s.plan
			*s = now
			break
		}
	}
	hooks, known := s.hooks()
	query := "amtool alert query --alertmanager.url=" + am.url + " --silenced --inhibited sluice_drill=" + d.view.ID
	switch {
	case len(s.Status.SilencedBy) > 0:
		return "a silence covers the alert, and would cover a real one with the same labels: " + strings.Join(s.Status.SilencedBy, ", "),
			"amtool silence query --alertmanager.url=" + am.url
	case len(s.Status.InhibitedBy) > 0:
		return "another alert that fires inhibits it, by inhibit_rules: " + strings.Join(s.Status.InhibitedBy, ", "), query
	case len(s.Status.MutedBy) > 0:
		return "the route is muted at this hour: " + strings.Join(s.Status.MutedBy, ", "), "amtool config routes show --alertmanager.url=" + am.url
	case known && len(hooks) == 0:
		return "no route leads to a webhook, see above", "amtool config routes show --alertmanager.url=" + am.url
	}
	if failed := d.failed(ctx); failed > 0 {
		return d.refused(ctx, s, hooks, failed)
	}
	look = "amtool config routes show --alertmanager.url=" + am.url
	wait := s.plan.pace(hooks, func(r route) string { return r.GroupWait })
	interval := s.plan.pace(hooks, func(r route) string { return r.GroupInterval })
	switch {
	case s.plan.timed(hooks):
		return "Alertmanager hasn't tried: the route keeps hours (mute_time_intervals or active_time_intervals)", look
	case longer(wait, d.Within) || longer(interval, d.Within):
		return fmt.Sprintf("Alertmanager waits: the route has group_wait %s and group_interval %s; the example has 0s and 1s, and group_by ['...']", wait, interval), look
	case wait != "":
		return fmt.Sprintf("Alertmanager delivered it to somebody else, or still waits (group_wait %s, group_interval %s): the receiver's url is that of another remediator%s", wait, interval, d.urls(s, hooks)), look
	}
	return "Alertmanager hasn't tried, or delivered it to somebody else: the route has a long group_wait, or the receiver's url is that of another remediator" + d.urls(s, hooks), look
}

func (d *drill) urls(s *shown, hooks []string) string {
	if urls := s.plan.urls(hooks); len(urls) > 0 {
		return ": " + strings.Join(urls, ", ")
	}
	return ""
}

// longer says whether each of several lengths of time, "30s or 5m", is: the
// quickest route would have brought it.
func longer(texts string, than time.Duration) bool {
	return !slices.ContainsFunc(strings.Split(texts, " or "), func(text string) bool {
		d, err := model.ParseDuration(text)
		return err != nil || time.Duration(d) < than
	})
}

// failed is how many webhooks of Alertmanager have failed since the drill began.
func (d *drill) failed(ctx context.Context) (n float64) {
	for _, a := range d.ams {
		before, now := d.before[a.url], a.failures(ctx)
		if before >= 0 && now > before {
			n += now - before
		}
	}
	return n
}

// refused is why Alertmanager's webhooks fail.
func (d *drill) refused(ctx context.Context, s *shown, hooks []string, failed float64) (cause, look string) {
	cause = fmt.Sprintf("Alertmanager tries, and fails (%.0f times since then)", failed)
	urls := s.plan.urls(hooks)
	look = "journalctl -u prometheus-alertmanager --since -5min | grep -i webhook"
	if len(urls) > 0 {
		look = curl(urls[0])
	}
	elsewhere := ""
	for _, u := range urls {
		code, text, err := d.knock(ctx, u)
		switch {
		case err != nil:
			return cause + ": " + u + " gives no answer here: the url is wrong, the remediator doesn't listen there, or a firewall is between: " + err.Error(), curl(u)
		case code == http.StatusUnauthorized && s.plan.bare(hooks):
			return cause + ": " + u + " answers 401, and the receiver has no credentials: give it http_config with a user or token of the role webhook", curl(u)
		case code == http.StatusUnauthorized:
			return cause + ": " + u + " answers 401: the receiver's credentials are wrong, or not of the role webhook", curl(u)
		case code == http.StatusMethodNotAllowed && strings.Contains(text, "use POST"): // a remediator's webhook
		case code >= http.StatusBadRequest:
			return cause + fmt.Sprintf(": %s answers %d here: the url isn't that of the remediator's /webhook", u, code), curl(u)
		default: // may be somebody else's, beside ours
			elsewhere = cause + fmt.Sprintf(": %s answers %d here: the url isn't that of a remediator's /webhook", u, code)
			look = curl(u)
		}
	}
	if elsewhere != "" {
		return elsewhere, look
	}
	if d.view.Authenticates && s.plan.bare(hooks) {
		return cause + ": the remediator wants to know who sends (401), and the receiver has no credentials", look
	}
	if d.view.LastWebhook.IsZero() {
		cause += "; no webhook at all has reached this remediator since its start"
	}
	return cause + ": the receiver's url or credentials are wrong, or the remediator answers an error", look
}

// curl is how a person asks what [drill.knock] does, from where it counts.
func curl(u string) string {
	return "curl -si " + forShell(u) + " # on Alertmanager's machine: 405 is right, 401 asks for credentials, all else is a wrong url"
}

// knock asks a webhook without sending anything: a remediator's says 405, "use
// POST". Only the alert's own receivers are asked.
func (d *drill) knock(ctx context.Context, u string) (code int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return resp.StatusCode, string(body), err
}

// unclaimed is why the remediator doesn't see the alert.
func (d *drill) unclaimed() (cause, look string) {
	look = "curl -s " + d.Client.URL() + "/metrics | grep sluice_remediation_claim_source_blind"
	if why := blind(d.view); why != "" {
		return "a source of claims is blind: " + why, look
	}
	if len(d.Alertmanagers) > 0 {
		return "the remediator asks other Alertmanagers than the one that took the alert: " + strings.Join(d.view.Alertmanagers, ", "), look
	}
	return "the remediator asks another Alertmanager than we do by the same address", look
}

// unresolved is why no webhook told of the end.
func (d *drill) unresolved(s *shown) (cause, look string) {
	look = "amtool config show --alertmanager.url=" + d.ams[0].url
	if s == nil {
		return "the receiver has send_resolved: false, or the route a long group_interval", look
	}
	by := unquoted(d.view.Fired.Receiver)
	interval := s.plan.pace([]string{by}, func(r route) string { return r.GroupInterval })
	switch {
	case s.plan.mute(by):
		return "the receiver has send_resolved: false: a member is given back without it too, at the remediator's next look, but later", look
	case longer(interval, d.Within):
		return "the route has group_interval " + interval + ": the end is told as late as that; the example has 1s", look
	}
	return "the receiver has send_resolved: false, or Alertmanager's webhooks fail since", look
}

// blind is why what the sources don't show means nothing; empty when it does.
func blind(v view) string {
	var out []string
	for _, s := range v.Sources {
		if s.Blind != "" {
			out = append(out, s.Name+" "+s.Blind)
		}
	}
	return strings.Join(out, ", ")
}

// inventoryRefusal is why nothing could be judged: the labels select nothing.
func inventoryRefusal(j *journal.Verdict) string {
	var d guard.Decision
	if len(j.Decision) == 0 {
		return j.Would
	}
	if json.Unmarshal(j.Decision, &d) == nil && d.Refusal != nil && d.Refusal.Guard == "inventory" {
		return d.Refusal.Reason + ": " + d.Refusal.Detail
	}
	return ""
}

// explainLabels are the labels without the mark, as sluice explain takes them.
func explainLabels(labels map[string]string) string {
	var out []string
	for n, v := range labels {
		if n != edge.LabelDrill {
			out = append(out, n+"="+strconv.Quote(v))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}
