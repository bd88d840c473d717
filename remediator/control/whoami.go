package control

import (
	"net/http"

	"github.com/sluice-project/sluice/remediator/access"
)

// whoami answers GET /api/v1/whoami: who the caller is taken for, and what they may
// do to something at least. Whoever got this far may ask.
func whoami(r *http.Request) (any, error) {
	i := access.From(r.Context())
	may := map[access.Verb]bool{}
	for _, v := range []access.Verb{access.View, access.Order, access.Approve, access.Freeze, access.Restore, access.Reload} {
		may[v] = i.MaySomewhere(v)
	}
	return struct {
		Name  string               `json:"name"`
		Via   string               `json:"via"`
		Roles []string             `json:"roles"`
		May   map[access.Verb]bool `json:"may"`
	}{actor(r), i.Via, notNil(i.Roles), may}, nil
}
