package control

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// A listing is how a list is asked for: which rows, in which order, and from where
// on. Its cursors name the last row of a page, by a key that the row keeps while
// others come and go: no page has a row twice, or leaves one out that was there all
// the time.
type listing struct {
	path   string
	values url.Values
	at     time.Time // when the first page was asked for: lengths of time count back from it
	limit  int
	order  string // newest, oldest, or empty
	after  string // key of the last row of the page before; empty on the first
}

// maxCursor bounds a cursor, in bytes: it has the three names of a member at most.
const maxCursor = 8 << 10

// list reads what is common to lists: limit, order, cursor, and the times since and
// until; of other parameters it takes those that are named, each once.
func list(r *http.Request, now time.Time, limit int, known ...string) (*listing, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem(http.StatusBadRequest, "query can't be read")
	}
	known = append([]string{"limit", "cursor"}, known...)
	slices.Sort(known)
	for name, vs := range values {
		if !slices.Contains(known, name) {
			return nil, problem(http.StatusBadRequest, "%q: no such parameter: want one of %s", cut(name), strings.Join(known, ", "))
		}
		if len(vs) != 1 {
			return nil, problem(http.StatusBadRequest, "%s: give it once", cut(name))
		}
	}
	l := &listing{path: r.URL.Path, values: values, at: now, limit: limit}
	if values.Has("limit") {
		l.limit, err = strconv.Atoi(values.Get("limit"))
		if err != nil || l.limit < 1 || l.limit > maxLimit {
			return nil, wrong(values, "limit", "a number from 1 to "+strconv.Itoa(maxLimit))
		}
	}
	if l.order = values.Get("order"); values.Has("order") && l.order != "newest" && l.order != "oldest" {
		return nil, wrong(values, "order", "newest or oldest")
	}
	if values.Has("cursor") {
		if err := l.resume(values.Get("cursor")); err != nil {
			return nil, problem(http.StatusBadRequest, "cursor: %v", err)
		}
	}
	return l, nil
}

func wrong(values url.Values, name, want string) error {
	return problem(http.StatusBadRequest, "%s: %q: want %s", name, cut(values.Get(name)), want)
}

// moment reads a parameter that is a time, or a length of time before the first
// page was asked for; zero when it isn't there.
func (l *listing) moment(name string) (time.Time, error) {
	if !l.values.Has(name) {
		return time.Time{}, nil
	}
	text := l.values.Get(name)
	t, err := time.Parse(time.RFC3339, text)
	if err == nil {
		return t, nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return t, wrong(l.values, name, "2026-01-02T15:04:05Z, or 30m, 2h, 1d before now")
	}
	return l.at.Add(-time.Duration(d)), nil
}

// span reads since and until.
func (l *listing) span() (since, until time.Time, err error) {
	if since, err = l.moment("since"); err != nil {
		return since, until, err
	}
	until, err = l.moment("until")
	return since, until, err
}

var (
	errCursor      = errors.New("is none of ours: take what next said, whole, or leave it out")
	errOtherCursor = errors.New("is of another list: ask with the filters and the order that it came from")
)

// cursorForm is the first byte of a cursor: how the rest is written.
const cursorForm = 1

// query is a hash of what a cursor is good for: all but it and the page's length.
func (l *listing) query() []byte {
	of := url.Values{}
	for name, vs := range l.values {
		if name != "cursor" && name != "limit" {
			of[name] = vs
		}
	}
	sum := sha256.Sum256([]byte(l.path + "?" + of.Encode()))
	return sum[:8]
}

// next is the cursor of the page that begins behind a row.
func (l *listing) next(key string) string {
	b := append([]byte{cursorForm}, l.query()...)
	b = binary.AppendVarint(b, l.at.UnixMilli())
	return base64.RawURLEncoding.EncodeToString(append(b, key...))
}

// resume takes up a list where a cursor says.
func (l *listing) resume(cursor string) error {
	if len(cursor) > maxCursor {
		return errCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < 9 || b[0] != cursorForm {
		return errCursor
	}
	at, n := binary.Varint(b[9:])
	if n <= 0 || len(b) == 9+n {
		return errCursor
	}
	if string(b[1:9]) != string(l.query()) {
		return errOtherCursor
	}
	l.at, l.after = time.UnixMilli(at), string(b[9+n:])
	return nil
}

// paged cuts a page out of rows that are ordered by their keys, and names the next.
func paged[T any](l *listing, rows []T, key func(T) string, less func(a, b string) bool) (page []T, next string) {
	from := 0
	if l.after != "" {
		if from = slices.IndexFunc(rows, func(t T) bool { return less(l.after, key(t)) }); from < 0 {
			from = len(rows)
		}
	}
	page = rows[from:]
	if len(page) > l.limit {
		page = page[:l.limit]
		next = l.next(key(page[len(page)-1]))
	}
	return page, next
}
