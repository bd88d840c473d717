package access

import (
	"fmt"
	"regexp"
)

// Named makes an identity of roles: viewer, operator, admin, webhook, or those
// that are given with it. It is for tests, and for what authenticates by itself.
func Named(name, via string, roles []string, own ...Role) (Identity, error) {
	i := Identity{Name: name, Via: via, Roles: roles}
	for _, role := range roles {
		g, err := grantOf(role, own)
		if err != nil {
			return Identity{}, err
		}
		i.grants = append(i.grants, g)
	}
	return i, nil
}

func grantOf(name string, own []Role) (grant, error) {
	if vs, ok := builtin[name]; ok {
		return grant{verbs: vs}, nil
	}
	for _, r := range own {
		if r.Name != name {
			continue
		}
		g := grant{verbs: builtin[r.Like]}
		var err error
		if g.devices, err = anchored(r.Devices); err != nil {
			return grant{}, fmt.Errorf("role %s: %w", name, err)
		}
		if g.pools, err = anchored(r.Pools); err != nil {
			return grant{}, fmt.Errorf("role %s: %w", name, err)
		}
		return g, nil
	}
	return grant{}, fmt.Errorf("role %q: there is none of this name", name)
}

func anchored(texts []string) (all []*regexp.Regexp, err error) {
	for _, text := range texts {
		r, err := regexp.Compile("^(?s:" + text + ")$")
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
