package remediator

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/journal"
)

func labels(m edge.Member) map[string]string {
	return map[string]string{"alertname": "MemberFailing", "device": m.Device, "pool": m.Pool, "member": m.Name, "remediation": "drain"}
}

func (w *world) explain(m edge.Member) Judged {
	w.t.Helper()
	x, err := w.r.Explain(w.t.Context(), labels(m))
	if err != nil {
		w.t.Fatal(err)
	}
	if len(x.Members) != 1 {
		w.t.Fatalf("%+v", x)
	}
	return x.Members[0]
}

// call sends a request to the API as it is served.
func (w *world) call(method, path, body string) (int, string) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.r.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body)))
	return rec.Code, rec.Body.String()
}

// rows is a device that keeps its own words for its members.
type rows struct{ *device }

func (d rows) Look(ctx context.Context) (edge.Snapshot, error) {
	s, err := d.device.Look(ctx)
	s.Row = func(m edge.Member) string { return m.Pool + "," + m.Name + ",..." }
	return s, err
}

func TestAnExplanationSaysWhatIsRemembered(t *testing.T) { // I23
	inWorld(t, approving, func(w *world) {
		if j := w.explain(s1); j.Candidate != nil || j.Refused != nil || j.Row != "" || len(j.Claims) != 1 {
			t.Errorf("before anything: %+v", j)
		}
		w.fail(s1)
		w.wait(time.Minute)
		w.r.set.devices["edge1"] = rows{w.device}
		j := w.explain(s1)
		if j.Would != "ask for an approval to put it in drain" || j.Row != "shop,s1,..." {
			t.Errorf("%+v", j)
		}
		if c := j.Candidate; c == nil || c.Phase != journal.AwaitingApproval || c.Changed.IsZero() {
			t.Errorf("%+v", c)
		}
		if j.Refused == nil || j.Refused.Reason != "awaiting" || j.RefusedAt.IsZero() {
			t.Errorf("%+v at %s", j.Refused, j.RefusedAt)
		}
		if j.Evidence == nil || j.Evidence.Answer != edge.No || len(j.Claims) != 1 || !strings.Contains(j.Claims[0], `member="s1"`) {
			t.Errorf("%+v", j)
		}

		if err := w.r.Answer(t.Context(), s1, false, "ops", "wait for the release"); err != nil {
			t.Fatal(err)
		}
		w.wait(time.Minute)
		if j = w.explain(s1); !strings.HasPrefix(j.Would, "refuse: approval, rejected: ops said no: wait for the release") {
			t.Errorf("after a no: %s", j.Would)
		}
	})
}

func TestAHoldIsExplainedWithItsApproval(t *testing.T) { // I17
	inWorld(t, approving, func(w *world) {
		if code, body := w.call(http.MethodPost, "/api/v1/approvals/edge1/shop/s1", `{"approve":true}`); code != http.StatusNotFound {
			t.Errorf("nobody asked, and the answer is %d %s", code, body)
		}
		w.fail(s1)
		w.wait(time.Minute)
		code, body := w.call(http.MethodGet, "/api/v1/approvals", "")
		var list struct {
			Data struct {
				Approvals []struct {
					Reason string
					Until  time.Time `json:"answer_until"`
				}
			}
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil || code != http.StatusOK || len(list.Data.Approvals) != 1 {
			t.Fatalf("%d %s", code, body)
		}
		if a := list.Data.Approvals[0]; a.Reason != "a claim is seen, and probe:shop finds it bad: as the test says" || !a.Until.Equal(time.Now().Add(defaultApproval)) {
			t.Errorf("%+v at %s", a, time.Now())
		}
		if code, body = w.call(http.MethodPost, "/api/v1/approvals/edge1/shop/s1", `{"approve":true,"reason":"go"}`); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
		w.wait(time.Second)
		w.want(s1, "FDRAIN")
		j := w.explain(s1)
		if j.Hold == nil || j.Hold.Approved == nil || j.Hold.Approved.Note != "go" || j.Candidate != nil || len(j.Claims) != 1 {
			t.Errorf("%+v", j)
		}
		if _, body = w.call(http.MethodGet, "/api/v1/candidates", ""); !strings.Contains(body, `"count":0`) {
			t.Error(body)
		}
	})
}

func TestAWordIsGoodForAsLongAsItsPolicySays(t *testing.T) {
	inWorld(t, func(c *Config) { c.Mode, c.Policies[0].ApprovalTTL = Approve, 60e9 }, func(w *world) {
		if got := (engine{w.r}).AnswerTTL("drain", s1); got != time.Minute {
			t.Errorf("%s", got)
		}
		if got := (engine{w.r}).AnswerTTL("gone", s1); got != defaultApproval {
			t.Errorf("a policy that is gone: %s", got)
		}
	})
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := (engine{r}).AnswerTTL("drain", s1); got != defaultApproval {
		t.Errorf("no configuration: %s", got)
	}
	for _, path := range []string{"candidates", "approvals"} {
		rec := httptest.NewRecorder()
		r.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/"+path, nil))
		if rec.Code != http.StatusServiceUnavailable {
			t.Errorf("%s without a journal: %d", path, rec.Code)
		}
	}
}
