package haproxy

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// What is read from a page ends as an answer of the socket does, however little
// is taken at a time.
func TestAPageReadsLikeTheSocketsAnswer(t *testing.T) {
	const csv = "# pxname,svname,type,\nshop,s1,2,\n"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, csv) // the client's error says it
	}))
	defer srv.Close()
	c, err := New(Options{Address: srv.URL + "/;csv"})
	if err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
		"half of what is asked": iotest.HalfReader, "errors with data": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			body, err := c.openWeb(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if got, err := io.ReadAll(by(body)); err != nil || string(got) != csv+"\n" {
				t.Errorf("%q, %v", got, err)
			}
			if n, err := body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("after the end: %d, %v", n, err)
			}
		})
	}
}

// A page that never ends is left after as much as an answer may have.
func TestAPageHasABound(t *testing.T) {
	b := &webBody{ctx: t.Context(), from: bufio.NewReader(strings.NewReader("shop,s1,2,\n")), read: maxAnswer}
	_, err := io.Copy(io.Discard, b)
	if !errors.Is(err, ErrAnswer) {
		t.Errorf("got %v", err)
	}
}
