package remediator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/edge"
)

func TestAPersonsStepIsAnsweredWithItsCode(t *testing.T) {
	for _, c := range []struct {
		name, path, body string
		prepare          func(*world)
		code             int
		text             string // of the error
		result           string // in data
	}{
		{"done", "edge1/shop/s1/drain", ``, nil, 200, "", "applied"},
		{"a guard refuses", "edge1/shop/s1/drain", ``, func(w *world) { w.device.put(s2, edge.Maint) }, 409, "min_serving: ", "refused"},
		{"over the guard", "edge1/shop/s1/drain", `{"reason":"x","override":["min_serving"]}`, func(w *world) { w.device.put(s2, edge.Maint) }, 200, "", "applied"},
		{"over a guard that stands", "edge1/shop/s1/drain", `{"reason":"x","override":["inventory"]}`, nil, 400, "can't be overridden", ""},
		{"no such device", "x/shop/s1/drain", ``, nil, 404, "no such device", ""},
		{"no such pool", "edge1/x/s1/drain", ``, nil, 404, "inventory: ", "refused"},
		{"no such member", "edge1/shop/x/drain", ``, nil, 404, "inventory: ", "refused"},
		{"no weight to set", "edge1/shop/s1/weight", `{"weight":5}`, nil, 400, "no such weight", ""},
		{"the device gives no answer", "edge1/shop/s1/drain", ``, func(w *world) { w.device.dead = true }, 503, "inventory: ", "refused"},
		{"the device does nothing", "edge1/shop/s1/drain", ``, func(w *world) { w.device.deaf = true }, 502, "failed: ", "failed"},
		{"the device doesn't answer the command", "edge1/shop/s1/drain", ``, func(w *world) { w.device.unheard = true }, 503, "failed: ", "failed"},
		{"nobody knows", "edge1/shop/s1/drain", ``, func(w *world) { w.device.mute = true }, 503, "indeterminate: ", "indeterminate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inHands(t, nil, func(w *world) {
				if c.prepare != nil {
					w.device.change(func() { c.prepare(w) })
				}
				r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/api/v1/members/"+c.path, strings.NewReader(c.body))
				rec := httptest.NewRecorder()
				w.r.Handler().ServeHTTP(rec, r)
				var got struct {
					Error string
					Data  struct {
						Result   string
						Decision struct{ Findings []any }
					}
				}
				if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
				if rec.Code != c.code || !strings.Contains(got.Error, c.text) || got.Data.Result != c.result {
					t.Errorf("got %d: %s", rec.Code, rec.Body)
				}
				if c.result != "" && len(got.Data.Decision.Findings) == 0 {
					t.Errorf("it doesn't tell what guards said: %s", rec.Body)
				}
			})
		})
	}
}
