package ptafpro

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Reading is one look at a tenant.
type Reading struct {
	At     time.Time // when the last answer was complete
	Tenant string    // id; as configured where a static token decides

	Backends     []Backend     // of the selected profiles, by id; all of the tenant when none are selected
	Profiles     []Profile     // those selected, by name
	Applications []Application // that listen on selected profiles, by name; all when none are selected

	// Versions names what the next write to each profile, by its name, would be built on.
	Versions map[string]string
	// Refused has what can't be served, by name, and why.
	Refused map[string]string
	// ReadOnly says why no backend can be taken out or given back; empty when one can.
	ReadOnly string

	names map[string]string // of all profiles of the tenant, by id
}

// Kinds of object for [Client.Get].
const (
	KindBackend     = "backend"
	KindApplication = "application"
	KindProfile     = "profile"
)

// paths of the kinds. Source: facts A2.2.
var paths = map[string]string{
	KindBackend:     "/config/backends",
	KindApplication: "/config/applications",
	KindProfile:     "/config/traffic_profiles",
}

// atOnce is how many objects are asked for by id at the same time.
const atOnce = 8

// Read looks at the tenant: three lists, and what they leave out by id. What is
// wrong with one object is told in Refused and doesn't fail the reading.
func (c *Client) Read(ctx context.Context) (Reading, error) {
	s, err := c.survey(ctx, func(Profile) bool { return true })
	if err != nil {
		return Reading{}, err
	}
	r := Reading{Tenant: c.session.current(), Versions: map[string]string{}, Refused: s.refused, names: map[string]string{}}
	for _, p := range s.profiles {
		r.names[p.ID] = p.Name
	}
	r.Profiles = c.selected(s)
	served := map[string]bool{}
	for _, p := range r.Profiles {
		served[p.ID] = true
		r.Versions[p.Name] = s.version(p)
	}
	all := len(c.profiles) == 0
	for _, b := range s.shared() {
		if all || slices.ContainsFunc(b.Profiles, func(id string) bool { return served[id] }) {
			r.Backends = append(r.Backends, b)
		}
	}
	for _, a := range s.applications {
		if all || slices.ContainsFunc(a.Profiles, func(id string) bool { return served[id] }) {
			r.Applications = append(r.Applications, a)
		}
	}
	for _, a := range r.Applications {
		if r.twice(a) {
			r.Refused[application+a.Name] = "more than one application has this name: rename all but one"
		}
	}
	r.ReadOnly = c.readOnly(ctx, r)
	r.At = time.Now()
	return r, nil
}

// selected picks the profiles that are to be served. A name that two have is
// refused, for nobody could say which of them a step is for.
func (c *Client) selected(s survey) (out []Profile) {
	times := map[string]int{}
	for _, p := range s.profiles {
		times[p.Name]++
	}
	wanted := func(p Profile) bool {
		return len(c.profiles) == 0 || slices.Contains(c.profiles, p.Name) || slices.Contains(c.profiles, p.ID)
	}
	for _, p := range s.profiles {
		switch {
		case !wanted(p):
		case times[p.Name] > 1:
			s.refused[p.Name] = fmt.Sprintf("%d traffic profiles have this name: rename all but one", times[p.Name])
		default:
			out = append(out, p)
		}
	}
	for _, name := range c.profiles {
		if !slices.ContainsFunc(s.profiles, func(p Profile) bool { return p.Name == name || p.ID == name }) && s.refused[name] == "" {
			s.refused[name] = "the tenant has no such traffic profile"
		}
	}
	slices.SortFunc(out, func(a, b Profile) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// A survey is all objects of a tenant.
type survey struct {
	backends     []Backend
	profiles     []Profile
	applications []Application
	refused      map[string]string
}

// survey reads the lists, and by id those applications and wanted profiles that
// the lists don't show whole. Source: list entries may lack balancer and backends.
func (c *Client) survey(ctx context.Context, want func(Profile) bool) (s survey, err error) {
	raw, err := c.get(ctx, paths[KindBackend])
	if err != nil {
		return s, err
	}
	if s.backends, s.refused, err = ParseBackends(raw); err != nil {
		return s, fmt.Errorf("GET %s: %w", paths[KindBackend], err)
	}
	s.profiles, err = list(ctx, c, KindProfile, s.refused, ParseProfile, func(p Profile) bool { return p.whole || !want(p) })
	if err != nil {
		return s, err
	}
	for i := range s.profiles {
		s.fill(&s.profiles[i])
	}
	s.applications, err = list(ctx, c, KindApplication, s.refused, ParseApplication, func(a Application) bool { return a.whole })
	if errors.Is(err, ErrForbidden) || errors.Is(err, ErrNotFound) {
		s.refused["applications"] = oneLine(err.Error()) // backends can be served without them
		if errors.Is(err, ErrForbidden) {
			s.refused["applications"] += " (configuration.applications.list)" // the right's name. Source: facts A2.2
		}
		err = nil
	}
	slices.SortFunc(s.applications, func(a, b Application) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return s, err
}

// list reads a list of objects and asks by id for those that aren't whole.
func list[T any](ctx context.Context, c *Client, kind string, refused map[string]string, parse func([]byte) (T, error), whole func(T) bool) ([]T, error) {
	raw, err := c.get(ctx, paths[kind])
	if err != nil {
		return nil, err
	}
	entries, err := items(raw)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", paths[kind], err)
	}
	found := make([]*T, len(entries))
	whys := make([]error, len(entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, raw := range entries {
		v, err := parse(raw)
		if err != nil {
			whys[i] = err
			continue
		}
		if found[i] = &v; whole(v) {
			continue
		}
		f, err := fields(raw)
		if err != nil {
			return nil, err
		}
		g.Go(func() error {
			raw, err := c.byID(gctx, kind, f.text("id"))
			if errors.Is(err, ErrNotFound) || errors.Is(err, ErrForbidden) {
				return nil // deleted meanwhile, or not to be seen by this user: what the list has must do
			} else if err != nil {
				return err
			}
			v, err := parse(raw)
			if found[i], whys[i] = &v, err; err != nil {
				found[i] = nil
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []T
	for i, v := range found {
		if v != nil {
			out = append(out, *v)
			continue
		}
		name := fmt.Sprintf("%s %d of the list", kind, i+1)
		if f, err := fields(entries[i]); err == nil {
			name = cmp.Or(oneLine(f.text("name")), oneLine(f.text("id")), name)
		}
		refused[name] = oneLine(whys[i].Error())
	}
	return out, nil
}

// fill gives a profile that doesn't say which backends it has those that say so.
func (s survey) fill(p *Profile) {
	if f, err := fields(p.raw); err == nil && f.has("backends") {
		return
	}
	for _, b := range s.backends {
		if slices.Contains(b.linked, p.ID) {
			p.Backends = append(p.Backends, Entry{ID: b.ID})
		}
	}
}

// shared returns the backends with every profile that they stand in, by their
// own word or by the profile's.
func (s survey) shared() []Backend {
	in := map[string]map[string]bool{}
	link := func(backend, profile string) {
		if in[backend] == nil {
			in[backend] = map[string]bool{}
		}
		in[backend][profile] = true
	}
	for _, b := range s.backends {
		for _, id := range b.linked {
			link(b.ID, id)
		}
	}
	for _, p := range s.profiles {
		for _, e := range p.Backends {
			link(e.ID, p.ID)
		}
	}
	out := slices.Clone(s.backends)
	for i := range out {
		out[i].Profiles = slices.Sorted(maps.Keys(in[out[i].ID]))
	}
	return out
}

// An Object is one object, byte for byte.
type Object struct {
	Kind, ID, Name string
	Raw            []byte
}

// Get reads one object by its name or id. It returns [ErrNotFound] or [ErrAmbiguous].
func (c *Client) Get(ctx context.Context, kind, nameOrID string) (Object, error) {
	o, err := c.find(ctx, kind, nameOrID)
	if err == nil {
		o.Raw, err = c.byID(ctx, kind, o.ID)
	}
	if err != nil {
		return Object{}, fmt.Errorf("get %s %s: %w", kind, oneLine(nameOrID), err)
	}
	return o, nil
}

func (c *Client) find(ctx context.Context, kind, nameOrID string) (Object, error) {
	if paths[kind] == "" {
		return Object{}, fmt.Errorf("want %s, %s or %s", KindBackend, KindApplication, KindProfile)
	}
	raw, err := c.get(ctx, paths[kind])
	if err != nil {
		return Object{}, err
	}
	var all []Object
	if kind == KindBackend {
		backends, _, err := ParseBackends(raw)
		if err != nil {
			return Object{}, err
		}
		for _, b := range backends {
			all = append(all, Object{Kind: kind, ID: b.ID, Name: b.Name})
		}
	} else {
		entries, err := items(raw)
		if err != nil {
			return Object{}, err
		}
		for _, raw := range entries {
			if f, err := fields(raw); err == nil {
				all = append(all, Object{Kind: kind, ID: f.text("id"), Name: f.text("name")})
			}
		}
	}
	if i := slices.IndexFunc(all, func(o Object) bool { return o.ID == nameOrID }); i >= 0 {
		return all[i], nil
	}
	all = slices.DeleteFunc(all, func(o Object) bool { return o.Name != nameOrID })
	switch len(all) {
	case 0:
		return Object{}, ErrNotFound
	case 1:
		return all[0], nil
	}
	return Object{}, ErrAmbiguous
}

var sound = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// path is where one object is. An id that could lead elsewhere is never sent.
func path(kind, id string) (string, error) {
	if !sound.MatchString(id) {
		return "", fmt.Errorf("id %.64q: want letters, digits, '_' or '-'", id)
	}
	return paths[kind] + "/" + url.PathEscape(id), nil
}

// byID reads one object. Whether backends can be had one by one is a guess: the
// right configuration.backends.view says so, no client does it. Where they can't,
// the list has them.
func (c *Client) byID(ctx context.Context, kind, id string) ([]byte, error) {
	where, err := path(kind, id)
	if err != nil {
		return nil, err
	}
	raw, err := c.get(ctx, where)
	e := (*APIError)(nil)
	if kind != KindBackend || !errors.As(err, &e) || e.Status != http.StatusNotFound && e.Status != http.StatusMethodNotAllowed {
		return raw, err
	}
	raw, lerr := c.get(ctx, paths[kind])
	if lerr != nil {
		return nil, err
	}
	entries, lerr := items(raw)
	if lerr != nil {
		return nil, err
	}
	for _, raw := range entries {
		if f, ferr := fields(raw); ferr == nil && f.text("id") == id {
			return raw, nil
		}
	}
	return nil, err
}
