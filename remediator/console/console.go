// Package console is the page on which people see what the remediator sees and
// does, and steer it: one table of all members over all devices, holds and what
// they wait for, refusals, approvals, freeze, maintenance, and a member with its
// history. It is written by the server and works by forms and links alone; where
// a browser has JavaScript, what is shown stays fresh by itself.
//
// There is no second way to write: orders go to the same engine, through the
// same guards, as those of package control. What devices, alerts and people say
// is hostile text here: it is cut, escaped, and never a link.
package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"github.com/sluice-project/sluice/edge"
	"github.com/sluice-project/sluice/remediator"
	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/control"
	"github.com/sluice-project/sluice/remediator/journal"
)

// An Engine is the [remediator.Remediator], as far as the console needs it.
type Engine interface {
	Members(ctx context.Context, device, pool string) (remediator.Roster, error)
	Status() remediator.Status
	Awaits(h journal.Hold) []remediator.Await
	Order(ctx context.Context, o remediator.PersonOrder) (remediator.Ordered, error)
	Release(ctx context.Context, m edge.Member, actor, reason string) error
	Answer(ctx context.Context, m edge.Member, yes bool, actor, note string) error
	Claim(ctx context.Context, c journal.Claimed) error
	Unclaim(ctx context.Context, m edge.Member, actor, reason string) error
	Knows(ctx context.Context, m edge.Member) error
	Windows() ([]control.Window, error)
	AddWindow(s control.WindowSpec, actor string) (control.Window, error)
	DropWindow(name, actor string) error
	AnswerTTL(policy string, m edge.Member) time.Duration
	Wake()
}

// A Journal is the [journal.Journal], as far as the console reads it, and freezes by it.
type Journal interface {
	Barriers() (journal.Barriers, error)
	SetFreeze(f journal.Freeze) error
	ThawScope(p edge.Pool, actor string) error
	Holds() ([]journal.Hold, error)
	Candidates() ([]journal.Hold, error)
	Entries(q journal.Query) ([]journal.Entry, error)
	Page(p journal.Page) (es []journal.Entry, next uint64, err error)
}

// Options of [Handler].
type Options struct {
	Engine  Engine
	Journal Journal
	Base    string // stands before /console/ in links: the path of the external URL
	Logger  log.Logger
}

//go:embed assets
var assets embed.FS

//go:embed pages
var pages embed.FS

// A console answers everything below /console/.
type console struct {
	Options
	pages  map[string]*template.Template
	static map[string]asset
	stamp  string // of all assets: they are new when it is
}

// Handler answers everything below /console/. Requests that a browser sends for
// another site's page are refused.
func Handler(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	c := &console{Options: o, pages: map[string]*template.Template{}, static: map[string]asset{}}
	c.readAssets()
	c.readPages()
	mux := http.NewServeMux()
	allowed := map[string][]string{} // by path
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /console/{$}":            c.overview,
		"GET /console/service":        c.service,
		"GET /console/member":         c.member,
		"POST /console/member":        c.order,
		"GET /console/holds":          c.holds,
		"POST /console/holds":         c.release,
		"GET /console/approvals":      c.approvals,
		"POST /console/approvals":     c.answer,
		"GET /console/refusals":       c.refusals,
		"GET /console/freeze":         c.freezeList,
		"POST /console/freeze":        c.freeze,
		"GET /console/maintenance":    c.windowList,
		"POST /console/maintenance":   c.window,
		"POST /console/preferences":   c.preferences,
		"GET /console/assets/{asset}": c.asset,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		switch {
		case method == http.MethodPost:
			h = c.form(h)
		case path != "/console/assets/{asset}":
			h = c.seeing(h)
		}
		mux.HandleFunc(pattern, h)
		path = strings.TrimSuffix(path, "{$}")
		allowed[path] = append(allowed[path], method)
	}
	mux.HandleFunc("/console/", func(w http.ResponseWriter, r *http.Request) {
		p := c.page(r, "")
		p.Title, p.Problem = p.T("no_page"), p.T("no_page_text")
		code := http.StatusNotFound
		if methods := allowed[r.URL.Path]; methods != nil {
			slices.Sort(methods)
			w.Header().Set("Allow", strings.Join(methods, ", "))
			p.Problem, code = p.T("bad_method", cut(r.Method, 20), strings.Join(methods, ", ")), http.StatusMethodNotAllowed
		}
		c.write(w, p, code, "problem")
	})
	guard := http.NewCrossOriginProtection()
	return guard.Handler(headers(mux))
}

// headers are those of every answer. Nothing may be framed, sent elsewhere or run
// but our own files.
func headers(next http.Handler) http.Handler {
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// maxForm bounds what a form sends, in bytes.
const maxForm = 64 << 10

// form lets in what a form of ours can have sent.
func (c *console) form(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		code := 0
		switch tooBig := (*http.MaxBytesError)(nil); {
		case err != nil || kind != "application/x-www-form-urlencoded":
			code = http.StatusUnsupportedMediaType
		default:
			if err = r.ParseForm(); errors.As(err, &tooBig) {
				code = http.StatusRequestEntityTooLarge
			} else if err != nil {
				code = http.StatusBadRequest
			}
		}
		if code == 0 {
			next(w, r)
			return
		}
		p := c.page(r, "")
		p.Problem = p.T("bad_form")
		c.write(w, p, code, "problem")
	}
}

// seeing lets in who may look at something: next shows no more.
func (c *console) seeing(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := access.From(r.Context()).CheckSomewhere(access.View); err != nil {
			p := c.page(r, "")
			p.Title, p.Problem = p.T("forbidden"), p.T("forbidden_view")+" ("+p.Cut(oneLine(err))+")"
			c.write(w, p, http.StatusForbidden, "problem")
			return
		}
		next(w, r)
	}
}

// An asset is a file of ours that pages refer to.
type asset struct {
	body []byte
	kind string
}

var kinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func (c *console) readAssets() {
	sum := sha256.New()
	files, err := fs.ReadDir(assets, "assets")
	must(err)
	for _, f := range files {
		body, err := assets.ReadFile("assets/" + f.Name())
		must(err)
		sum.Write(body) // of a hash: it doesn't fail
		c.static[f.Name()] = asset{body, kinds[f.Name()[strings.LastIndexByte(f.Name(), '.'):]]}
	}
	c.stamp = hex.EncodeToString(sum.Sum(nil))[:12]
}

// must is for what was built into the program.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (c *console) asset(w http.ResponseWriter, r *http.Request) {
	a, known := c.static[r.PathValue("asset")]
	if !known {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	if r.URL.Query().Get("v") == c.stamp {
		h.Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	w.Write(a.body) // a reader who went away needs no answer
}

func (c *console) readPages() {
	layout := template.Must(template.New("layout").Funcs(template.FuncMap{"tab": newTab, "kind": newKind, "event": newEvent, "line": newLine, "hold": newHold, "entries": newEntries, "scope": newScope, "selected": newSelected}).ParseFS(pages, "pages/layout.html", "pages/parts.html"))
	files, err := fs.ReadDir(pages, "pages")
	must(err)
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		c.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(pages, "pages/"+f.Name()))
	}
}

// write answers with a page, whole or not at all.
func (c *console) write(w http.ResponseWriter, p *page, code int, name string) {
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, "layout", p); err != nil {
		level.Error(c.Logger).Log("msg", "page not written", "page", name, "err", err)
		http.Error(w, "the page can't be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", string(p.Lang))
	w.Header().Set("Vary", "Accept-Language, Cookie")
	w.WriteHeader(code)
	w.Write(b.Bytes()) // a reader who went away needs no answer
}
