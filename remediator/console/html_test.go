package console_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/sluice-project/sluice/remediator/access"
	"github.com/sluice-project/sluice/remediator/console"
	"github.com/sluice-project/sluice/test/console/scene"
)

// A desk is the console of a world, and whoever sits at it.
type desk struct {
	t    *testing.T
	h    http.Handler
	who  *access.Identity // nil: nobody has to say
	lang string
	jar  []*http.Cookie
}

func open(t *testing.T, w *scene.World) *desk {
	return &desk{t: t, h: console.Handler(console.Options{Engine: w, Journal: w})}
}

// A sheet is an answer, read as HTML.
type sheet struct {
	*http.Response
	root *html.Node
	text string
}

func (d *desk) do(r *http.Request) sheet {
	d.t.Helper()
	if d.lang != "" {
		r.Header.Set("Accept-Language", d.lang)
	}
	for _, c := range d.jar {
		r.AddCookie(c)
	}
	if d.who != nil {
		r = r.WithContext(access.With(r.Context(), *d.who))
	}
	rec := httptest.NewRecorder()
	d.h.ServeHTTP(rec, r)
	res := rec.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		d.t.Fatal(err)
	}
	d.jar = append(d.jar, res.Cookies()...)
	return sheet{res, root, string(body)}
}

func (d *desk) get(path string) sheet {
	d.t.Helper()
	return d.do(httptest.NewRequest(http.MethodGet, "/console"+path, nil))
}

// post sends a form: names and values by turns.
func (d *desk) post(path string, fields ...string) sheet {
	d.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "/console"+path, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return d.do(r)
}

// all are the elements that have the name and, where it isn't empty, the class.
func (s sheet) all(name, class string) (out []*html.Node) {
	for n := range s.root.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) && (class == "" || slices.Contains(strings.Fields(attr(n, "class")), class)) {
			out = append(out, n)
		}
	}
	return out
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// words are an element's text on one line.
func words(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (s sheet) words() string { return words(s.root) }

// rows are the lines of the tables below an element's text.
func (s sheet) rows() (out []string) {
	for _, n := range s.all("tr", "") {
		out = append(out, words(n))
	}
	return out
}

// row is the first line that begins so.
func (s sheet) row(t *testing.T, prefix string) string {
	t.Helper()
	for _, line := range s.rows() {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	t.Fatalf("no line begins with %q:\n%s", prefix, strings.Join(s.rows(), "\n"))
	return ""
}
