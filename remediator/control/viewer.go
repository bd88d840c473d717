package control

import (
	"net/http"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/journal"
)

// viewer says what the caller may see, who may be limited to some pools; the error
// is for who sees nothing at all. Lists are cut by it.
func viewer(r *http.Request) (sees func(edge.Pool) bool, err error) {
	who := access.From(r.Context())
	sees = func(p edge.Pool) bool { return who.May(access.View, p) }
	return sees, who.CheckSomewhere(access.View)
}

// may asks for one thing before it is done.
func may(r *http.Request, v access.Verb, p edge.Pool) error {
	return access.From(r.Context()).Check(v, p)
}

// seesEntry says whether an entry is for somebody: one of no member is of them all.
func seesEntry(sees func(edge.Pool) bool) func(*journal.Entry) bool {
	return func(e *journal.Entry) bool {
		if e.Member == nil {
			return sees(edge.Pool{})
		}
		return sees(e.Member.In())
	}
}
