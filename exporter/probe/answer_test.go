package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A recording is a connection on which all is said already; it is read in small steps.
type recording struct {
	net.Conn // nil: nothing else is called
	left     []byte
	step     int
	read     int
}

func (s *recording) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.left)
	s.left, s.read = s.left[n:], s.read+n
	return n, nil
}

func (s *recording) Close() error { return nil }

// A heard is what a client makes of an answer.
type heard struct {
	Status           string
	Code             int
	Proto            string
	Major, Minor     int
	Header           http.Header
	Length           int64
	TransferEncoding []string
	Close            bool
	Body             string
	Broken           bool // the body
}

const heardMost = 64 << 10

func hear(res *http.Response) heard {
	body, err := io.ReadAll(io.LimitReader(res.Body, heardMost))
	return heard{
		res.Status, res.StatusCode, res.Proto, res.ProtoMajor, res.ProtoMinor, res.Header,
		res.ContentLength, res.TransferEncoding, res.Close, string(body), err != nil,
	}
}

func hearOurs(in []byte, method string, step int) (*heard, error) {
	x := &exchange{in: make([]byte, usualHead), conn: &recording{left: in, step: step}}
	res, err := x.answer(newCourse(context.Background()), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	h := hear(res)
	return &h, nil
}

// hearTheirs does what [http.Transport] does with [http.ReadResponse].
func hearTheirs(in []byte, method string) (*heard, error) {
	r := bufio.NewReader(bytes.NewReader(in))
	for {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if res.StatusCode/100 == 1 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		if res.StatusCode == http.StatusSwitchingProtocols && res.Header.Get("Upgrade") != "" && hasToken(res.Header["Connection"], "upgrade") {
			res.Body, res.Close = io.NopCloser(r), true // Close is ours, who keep no such connection
		}
		h := hear(res)
		return &h, nil
	}
}

// onPurpose finds the answers that we take otherwise than net/http.
func onPurpose(in []byte, ours, theirs error) bool {
	text := strings.ToLower(string(in))
	switch {
	case ours != nil && theirs == nil:
		// "+20" and "-00" are status codes for net/http.
		return strings.Contains(text, " +") || strings.Contains(text, " -")
	case ours == nil && theirs != nil:
		// A trailer may announce anything, as none of it is used.
		return strings.Contains(text, "trailer")
	}
	return false
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\nfine",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length:  4 \r\nConnection: close\r\n\r\nfine and more",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfine",
		"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nfine",
		"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nfine",
		"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nfine",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nTrailer: X\r\n\r\n4 ;a=b\r\nfine\r\n1\r\n!\r\n0\r\nX: y\r\n\r\nmore",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\nfine\n0\n\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nfine",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc000000000000002\r\nfine",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfineX0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n4\r\n",
		"HTTP/1.0 200\r\n\r\nuntil the end",
		"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nend",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: keep-alive, Upgrade\r\n\r\nbytes",
		"HTTP/1.1 200 OK\nA: b\n c\n\td \n \nE : f\n\n",
		"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
		"HTTP/1.1  200  OK \r\npragma: no-cache\r\na-b: c\r\nA-B: d\r\n\r\n",
		"HTTP/1.1 +20 OK\r\n\r\n",
		"HTTP/2.0 200 OK\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK\r\r\n\r\n",
		"SSH-2.0-OpenSSH\r\n",
		"\r\n\r\n",
	} {
		for _, step := range []byte{1, 255} {
			f.Add([]byte(s), false, step)
			f.Add([]byte(s), true, step)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, head bool, step byte) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		ours, err := hearOurs(in, method, int(step)+1)
		theirs, theirErr := hearTheirs(in, method)
		if (err == nil) != (theirErr == nil) {
			if !onPurpose(in, err, theirErr) {
				t.Fatalf("ours: %v; net/http: %v\n%q", err, theirErr, in)
			}
			return
		}
		if err == nil && ours.Broken && theirs.Broken && strings.HasPrefix(theirs.Body, ours.Body) {
			ours.Body = theirs.Body // a chunk of 2^63 bytes may begin for net/http
		}
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%q: net/http, ours: %s", in, diff)
		}
	})
}

func TestAnswersAreReadUpToTheirBounds(t *testing.T) {
	for _, c := range []struct {
		name, head, more string
		most             int // bytes that are read
		want             error
	}{
		{"fields without end", "HTTP/1.1 200 OK\r\n", "A: b\r\n", maxHead, errHeadTooLong},
		{"a line without end", "HTTP/1.1 200 ", "x", maxHead, errHeadTooLong},
		{"informational answers without end", "", "HTTP/1.1 100 Go on\r\n\r\n", 2 * maxHead, errHeadTooLong},
		{"an extension without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x", 3 * maxLength, errChunk},
		{"extensions without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;" + strings.Repeat("x", 1000) + "\r\nx\r\n", 2*maxVain + 2*maxLength, errChunk},
		{"trailers without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", 3 * maxLength, errChunk},
		{"no HTTP and no end", "SSH-2.0-x\r\n", "x", usualHead, errNoHTTP},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &recording{left: []byte(c.head + strings.Repeat(c.more, 4*maxHead/len(c.more))), step: 4 << 10}
			x := &exchange{in: make([]byte, usualHead), conn: s}
			res, err := x.answer(newCourse(t.Context()), &http.Request{Method: http.MethodGet})
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if s.read > c.most || cap(x.in) > 2*maxHead {
				t.Errorf("%d bytes were read, want %d at most; %d of room", s.read, c.most, cap(x.in))
			}
		})
	}
}

func TestRequestsAreWrittenAsNetHTTPDoes(t *testing.T) {
	for _, c := range []struct {
		name, method, target, host string
		header                     http.Header
		body                       string
		want                       string
	}{
		{"a plain one", "GET", "http://192.0.2.1:8080/health?a=b#c", "", nil, "", "GET /health?a=b HTTP/1.1\r\nHost: 192.0.2.1:8080\r\nConnection: close\r\n\r\n"},
		{"without a path", "HEAD", "http://example.com", "", nil, "", "HEAD / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"},
		{"another host", "GET", "http://[2001:db8::1]/%2f", "shop.example.com", http.Header{"X-B": {" c "}, "X-A": {"b", "c"}}, "", "GET /%2f HTTP/1.1\r\nHost: shop.example.com\r\nX-A: b\r\nX-A: c\r\nX-B: c\r\nConnection: close\r\n\r\n"},
		{"a body", "POST", "http://example.com/", "", nil, "hello", "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"},
		{"no body where there could be one", "PUT", "http://example.com/", "", http.Header{"Content-Length": {"7"}}, "", "PUT / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"another protocol", "GET", "http://example.com/", "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"x"}}, "", "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"},
		{"a break in a value", "GET", "http://example.com/", "", http.Header{"A": {"b\r\nC: d"}}, "", ""},
		{"a break in a name", "GET", "http://example.com/", "", http.Header{"A\r\nB": {"c"}}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), c.method, c.target, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			if c.header != nil {
				r.Header = c.header
			}
			got, err := appendRequest(nil, r, false)
			if (err != nil) != (c.want == "") {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); err == nil && diff != "" {
				t.Error(diff)
			}
		})
	}
}
