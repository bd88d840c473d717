package remediator

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/test/openapi"
)

// I23: what the API says of a drill, and that each answer is one of the document.
func TestDrillsOverTheAPI(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ask := func(code int, method, path, body, text string, as ...access.Identity) DrillView {
			t.Helper()
			r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
			for _, i := range as {
				r = r.WithContext(access.With(r.Context(), i))
			}
			rec := httptest.NewRecorder()
			w.r.Handler().ServeHTTP(rec, r)
			if rec.Code != code || !strings.Contains(rec.Body.String(), text) {
				t.Errorf("%s %s: %d %s, want %d %q", method, path, rec.Code, rec.Body, code, text)
			}
			if err := openapi.Check(method, path, rec.Code, rec.Header(), rec.Body.Bytes()); err != nil {
				t.Error(err)
			}
			var got struct{ Data struct{ Drill DrillView } }
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Error(err)
			}
			return got.Data.Drill
		}
		const all, s1 = "/api/v1/drills", `{"device":"edge1","pool":"shop","member":"s1"}`
		ask(400, "POST", all, `{"device":"edge1","pool":"shop"}`, "member is missing")
		ask(400, "POST", all, `{"device":"edge1","pool":"shop","member":"s1","policy":"x"}`, "no policy has that name")
		ask(400, "POST", all, `{"device":"edge1","pool":"shop","member":"s1","x":1}`, "unknown field")
		ask(404, "POST", all, `{"device":"x","pool":"shop","member":"s1"}`, "no such device")
		ask(403, "POST", all, s1, "may not order", access.Identity{Name: "ann"})
		ask(403, "GET", all, ``, "may not view", access.Identity{Name: "ann"})

		d := ask(200, "POST", all, s1, `"running":true`)
		one := all + "/" + d.ID
		ask(200, "GET", one, ``, `"alertname":"SluiceDrill"`)
		ask(403, "GET", one, ``, "may not view", access.Identity{Name: "ann"})
		ask(403, "DELETE", one, ``, "may not order", access.Identity{Name: "ann"})
		ask(403, "GET", all+"/x", ``, "may not view", access.Identity{Name: "ann"}) // whether there is one is nothing to them
		other, err := access.Named("ann", access.ViaToken, []string{"api-team"}, access.Role{Name: "api-team", Like: access.Admin, Pools: []string{"api"}})
		if err != nil {
			t.Fatal(err)
		}
		ask(403, "GET", one, ``, "limited to other devices or pools", other)
		ask(403, "DELETE", one, ``, "limited to other devices or pools", other)
		w.alerts.claim(d.Labels)
		w.hook(true, d.Labels)
		ask(200, "GET", one, ``, `"receiver":"sluice"`)
		w.wait(drillReads)
		if got := ask(200, "GET", one, ``, `"judged"`); got.Claimed == nil || got.Judged == nil {
			t.Errorf("it waits for something: %+v", got)
		}
		ask(200, "DELETE", one, ``, `"incomplete"`)
		ask(200, "DELETE", one, ``, `"incomplete"`) // to end what has ended is no mistake
		ask(200, "GET", all, ``, d.ID)
		ask(404, "GET", all+"/x", ``, "no such drill")
		ask(404, "DELETE", all+"/x", ``, "no such drill")
		ask(405, "PUT", all, ``, "use GET or POST")
		w.wantNothingDone()

		for range 4 {
			ask(200, "POST", all, s1, ``)
		}
		ask(429, "POST", all, s1, "too many drills")
	})
}
