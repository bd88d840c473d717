package haproxyapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/haproxyapi"
)

// as lets each request be one of ann's, who has the role.
func as(t *testing.T, next http.Handler, role string, own ...access.Role) http.Handler {
	t.Helper()
	i, err := access.Named("ann", access.ViaToken, []string{role}, own...)
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(access.With(r.Context(), i)))
	})
}

func TestRolesLimitWhatIsSeenAndDone(t *testing.T) {
	prod := access.Role{Name: "prod-team", Like: access.Operator, Devices: []string{"prod"}, Pools: []string{"my.*"}}
	inProd := func(path string) string { return haproxyapi.Root + "/prod/backends" + path }
	for _, c := range []struct {
		name, role string
		q          question
		code       int
		want       string // in the body
	}{
		{"a viewer sees", access.Viewer, get(inProd("/myapp/servers")), 200, `"name":"web01"`},
		{"a viewer orders nothing", access.Viewer, post(inProd("/myapp/servers/web01/action"), drain), 403, "ann may not order on prod/myapp: the role operator is missing"},
		{"in Russian", access.Viewer, post(inProd("/myapp/servers/web01/action"), drain).with("Accept-Language", "ru"), 403, "доступ запрещён: ann may not order"},
		{"an operator orders", access.Operator, post(inProd("/myapp/servers/web01/action"), drain), 200, `"completed"`},
		{"a webhook sees nothing", access.Hook, get(haproxyapi.Root + "/instances"), 403, "the role viewer is missing"},
		{"a limited role sees its instance alone", "prod-team", get(haproxyapi.Root + "/instances"), 200, `"instances":[{"name":"prod"`},
		{"its backends alone", "prod-team", get(inProd("")), 200, `"backends":["myapp"],"count":1`},
		{"nothing of another instance, nor whether it answers", "prod-team", get(haproxyapi.Root + "/first/backends"), 403, "limited to other devices or pools"},
		{"no servers of another backend", "prod-team", get(inProd("/api/servers")), 403, "limited to other devices or pools"},
		{"nor of one that there isn't: it can't tell", "prod-team", get(inProd("/none/servers")), 403, "limited to other devices or pools"},
		{"it orders in its backend", "prod-team", post(inProd("/myapp/servers/web01/action"), drain), 200, `"completed"`},
		{"and in no other", "prod-team", post(inProd("/api/servers/x/action"), drain), 403, "limited to other devices or pools"},
		{"nor the same one elsewhere", "prod-team", post(haproxyapi.Root+"/first/backends/myapp/servers/web01/action", drain), 403, "limited to other devices or pools"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine()
			a := ask(t, as(t, handler(e), c.role, prod), c.q)
			if a.code != c.code || !strings.Contains(a.body, c.want) {
				t.Errorf("%d %s, want %d with %s", a.code, a.body, c.code, c.want)
			}
			if len(e.orders) != 0 && c.code != 200 {
				t.Errorf("the engine was told: %+v", e.orders)
			}
			for _, o := range e.orders {
				if o.Actor != "ann" {
					t.Errorf("actor %q", o.Actor)
				}
			}
		})
	}
}

func TestWhoIsntLetInIsToldWhyInTheirLanguage(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   int
		en, ru string
	}{
		{access.ErrMissing, 401, "send the header Authorization: Bearer TOKEN", "передайте заголовок Authorization: Bearer ТОКЕН"},
		{access.ErrWrong, 401, "missing or wrong", "не указан или неверен"},
		{access.ErrHeader, 401, "missing or wrong", "не указан или неверен"},
		{access.ErrExpired, 401, "the token has expired", "срок действия токена истёк"},
		{&access.LockedError{For: 1500 * time.Millisecond}, 429, "try again in 2 s", "повторите через 2 с"},
		{fmt.Errorf("a form: %w", access.ErrForged), 403, "another site's page", "страницей другого сайта"},
		{access.ErrBusy, 503, "too many log-ins at once", "слишком много одновременных входов"},
		{fmt.Errorf("the file is gone"), 503, "the file is gone", "the file is gone"},
	} {
		for lang, want := range map[string]string{"en": c.en, "ru": c.ru} {
			deny := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { haproxyapi.Deny(w, r, c.err) })
			if a := asked(t, deny, get("/").with("Accept-Language", lang)); a.code != c.code || !strings.Contains(a.body, want) {
				t.Errorf("%v in %s: %d %s, want %d with %s", c.err, lang, a.code, a.body, c.code, want)
			}
		}
	}
}
