package ptaf_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/edge/ptaf"
	"github.com/sluice-project/sluice/edge/ptaf/ptaftest"
)

// Whatever the device answers to each of the three questions of a reading: what is
// taken makes sense, and what isn't is told in one line and never in part.
func FuzzRead(f *testing.F) {
	const list = `{"items":[{"id":"64f0c0ffee0123456789abcd","name":"shop-front"},{"id":"2","name":"shop-front"}]}`
	f.Add([]byte(list), []byte(`{"id":"64f0c0ffee0123456789abcd","name":"shop-front","backends":[{"address":"192.0.2.11"}]}`), []byte(`{"items":[{"name":"waf1","active":true}]}`), 200)
	f.Add([]byte(`[{"id":"1","name":"a"},{"id":"../1","name":"b"},{"name":""},{}]`), []byte(`{"id":"1","name":"a","backends":null}`), []byte(`[{"active":"False","x":["waf.example.com"]}]`), 200)
	f.Add([]byte(`[{"id":"1","name":"a"}]`), []byte(`{"id":"1","name":"a","backends":[{"address":"a","weight":0},{"address":"a"}]}`), []byte(`{}`), 404)
	f.Fuzz(func(t *testing.T, list, object, gateways []byte, status int) {
		if status < 200 || status > 599 {
			status = http.StatusOK
		}
		var asked []string
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var err error
			switch path := strings.TrimPrefix(r.URL.Path, ptaftest.Base); path {
			case "/upstreams":
				_, err = w.Write(list)
			case "/gateways":
				w.WriteHeader(status)
				_, err = w.Write(gateways)
			default:
				asked = append(asked, path)
				_, err = w.Write(object)
			}
			if err != nil && status != http.StatusNoContent && status != http.StatusNotModified {
				t.Error(err)
			}
		})
		o := ptaf.Options{
			URLs: []string{"http://waf.example.com" + ptaftest.Base}, HTTP: &http.Client{Transport: &serial{next: memory{h}}}, Retries: -1,
		}
		r, err := newClient(t, o).Read(t.Context())
		for _, path := range asked {
			if id := strings.TrimPrefix(path, "/upstreams/"); id == path || id == "" || strings.ContainsAny(id, "/.?#%") {
				t.Errorf("asked for %q", path)
			}
		}
		if err != nil {
			wantErr(t, err, err)
			if len(r.Upstreams) > 0 || len(r.Snapshot("waf1").States) > 0 {
				t.Errorf("an error with %+v", r.Upstreams)
			}
			return
		}
		for name, why := range r.Refused {
			if why == "" || strings.ContainsAny(name+why, "\n\r\x00") {
				t.Errorf("refused %q: %q", name, why)
			}
		}
		for _, g := range r.Gateways {
			if strings.ContainsAny(g.Name+g.ID, "\n\r\x00") {
				t.Errorf("gateway %+v", g)
			}
		}
		s := r.Snapshot("waf1")
		for m, st := range s.States {
			switch {
			case m.Pool == "" || m.Name == "" || st.Member != m || s.Versions[m.Pool] == "" || r.Refused[m.Pool] != "":
				t.Errorf("%+v", st)
			case st.Serving && (st.Admin != edge.Ready || st.Weight == 0), (st.Admin == edge.Ready) != (st.Marks == ""):
				t.Errorf("%+v", st)
			}
		}
	})
}

// serial makes calls one after another, so that a test need not lock.
type serial struct {
	next http.RoundTripper
	mu   sync.Mutex
}

func (s *serial) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next.RoundTrip(r)
}
