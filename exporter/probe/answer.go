package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

const (
	usualHead = 4 << 10 // bytes; what a longer one needs is got
	maxLength = 4 << 10 // bytes of the line that announces a chunk, and of all trailers
	// maxVain is what chunks may waste in bytes, beyond what small chunks need.
	maxVain = 16 << 10
)

// errHeadTooLong has net/http's words, by which [headFailure] knows both.
var errHeadTooLong = fmt.Errorf("server response headers exceeded %d bytes", maxHead)

// errNoHTTP doesn't quote what came in an answer's place.
var errNoHTTP = errors.New("malformed HTTP response")

// fill reads once more, after room was made. Bounds are the callers'.
func (x *exchange) fill() error {
	switch {
	case x.r == x.w:
		x.r, x.w = 0, 0
	case x.w == len(x.in) && x.r > 0:
		x.w = copy(x.in, x.in[x.r:x.w])
		x.r = 0
	case x.w == len(x.in):
		x.in = slices.Grow(x.in, len(x.in))
		x.in = x.in[:cap(x.in)]
	}
	n, err := x.conn.Read(x.in[x.w:])
	x.w += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// answer reads the head of the answer to req, after those of informational ones.
func (x *exchange) answer(c *course, req *http.Request) (*http.Response, error) {
	x.heard = false
	left := maxHead
	for {
		head, err := x.head(c, left)
		if err != nil {
			return nil, err
		}
		left -= len(head)
		res, err := parseHead(head)
		if err != nil {
			return nil, err
		}
		res.Request = req
		b := &answerBody{exchange: x}
		if b.length, err = frame(res, req.Method); err != nil {
			return nil, err
		}
		if res.StatusCode/100 == 1 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		res.Body = b
		return res, nil
	}
}

// head returns the next head with the empty line that ends it, of at most most bytes.
func (x *exchange) head(c *course, most int) (string, error) {
	seen := 0 // bytes after x.r that were searched for the end
	known := false
	for {
		have := x.in[x.r:x.w]
		if end := headEnd(have, seen); end > 0 && end <= most {
			x.r += end
			return string(have[:end]), nil
		} else if end > 0 || len(have) >= most {
			return "", errHeadTooLong
		}
		// What isn't HTTP is known by its first line; there may be no other.
		if i := bytes.IndexByte(have, '\n'); i >= 0 && !known {
			known = true
			line, _ := cutLine(string(have[:i+1]))
			if err := parseStatus(new(http.Response), line); err != nil {
				return "", err
			}
		}
		seen = len(have)
		switch err := x.fill(); {
		case err == io.EOF && x.heard: //nolint:errorlint // as io.Reader has it
			return "", io.ErrUnexpectedEOF
		case err != nil:
			return "", err
		}
		if !x.heard {
			x.heard = true
			c.begin(StageTransfer)
		}
	}
}

// headEnd returns the length of the head that b begins with, or 0. No line ends
// before b[from].
func headEnd(b []byte, from int) int {
	for i := max(from-2, 0); ; i++ { // a line's end may be the last or last but one
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n
		switch rest := b[i+1:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 2
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 3
		}
	}
}

// cutLine cuts the first line off, without its end.
func cutLine(s string) (line, rest string) {
	line, rest, _ = strings.Cut(s, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

// parseStatus reads the first line. It takes what net/http takes, but for a sign
// before the status code.
func parseStatus(res *http.Response, line string) error {
	proto, status, ok := strings.Cut(line, " ")
	if !ok {
		return errNoHTTP
	}
	status = strings.TrimLeft(status, " ")
	code, _, _ := strings.Cut(status, " ")
	if len(code) != 3 || !isDigit(code[0]) || !isDigit(code[1]) || !isDigit(code[2]) {
		return errNoHTTP
	}
	res.Proto, res.Status = proto, status
	if res.ProtoMajor, res.ProtoMinor, ok = http.ParseHTTPVersion(proto); !ok {
		return errNoHTTP
	}
	res.StatusCode = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// parseHead reads a whole head.
func parseHead(head string) (*http.Response, error) {
	line, rest := cutLine(head)
	res := new(http.Response)
	err := parseStatus(res, line)
	if err != nil {
		return nil, err
	}
	if res.Header, err = parseFields(rest); err != nil {
		return nil, err
	}
	if p := res.Header["Pragma"]; len(p) > 0 && p[0] == "no-cache" && res.Header["Cache-Control"] == nil {
		res.Header["Cache-Control"] = []string{"no-cache"} // as net/http has it
	}
	return res, nil
}

// parseFields reads fields up to an empty line. It is as lenient as net/http, in
// names with spaces and in lines that go on in the next one.
func parseFields(s string) (http.Header, error) {
	n := strings.Count(s, "\n") - 1
	h := make(http.Header, max(min(n, 64), 0))
	room := make([]string, max(min(n, 64), 0)) // a slice of one for most
	if s != "" && isBlank(s[0]) {
		return nil, errNoHTTP
	}
	for {
		var line string
		if line, s = cutLine(s); line == "" {
			return h, nil
		}
		if strings.IndexByte(line, ':') < 0 {
			return nil, errNoHTTP
		}
		line = strings.Trim(line, " \t")
		if s != "" && isBlank(s[0]) {
			folded := []byte(line)
			for s != "" && isBlank(s[0]) {
				line, s = cutLine(s)
				folded = append(append(folded, ' '), strings.Trim(line, " \t")...)
			}
			line = string(folded)
		}
		name, value, _ := strings.Cut(line, ":")
		if !nameable(name) || !sayable(value) {
			return nil, errNoHTTP
		}
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.TrimLeft(value, " \t")
		if had := h[name]; had == nil && len(room) > 0 {
			room[0] = value
			h[name], room = room[:1:1], room[1:]
		} else {
			h[name] = append(had, value)
		}
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// isToken has the characters of names, as RFC 9110 has them (section 5.6.2).
var isToken = func() (is [0x80]bool) {
	for c := range is {
		b := byte(c)
		is[c] = 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || isDigit(b) || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
	}
	return is
}()

func nameable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != ' ' && (c >= 0x80 || !isToken[c]) {
			return false
		}
	}
	return s != ""
}

func sayable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// hasToken says whether one of the elements in lists is token.
func hasToken(lists []string, token string) bool {
	for _, list := range lists {
		for s := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(textproto.TrimString(s), token) {
				return true
			}
		}
	}
	return false
}

// The lengths of bodies that aren't announced as one.
const (
	untilEnd = -1
	inChunks = -2
)

// frame finds how long the body is, sets what [http.Response] says of that, and
// refuses what could be read in two ways (RFC 9112, section 6.3).
func frame(res *http.Response, method string) (length int64, err error) {
	h := res.Header
	chunked := false
	if coding, ok := h["Transfer-Encoding"]; ok {
		delete(h, "Transfer-Encoding")
		if chunked = res.ProtoAtLeast(1, 1); chunked && (len(coding) != 1 || !strings.EqualFold(coding[0], "chunked")) {
			return 0, errNoHTTP
		}
	}
	announced, err := contentLength(h)
	if err != nil {
		return 0, err
	}
	closes := hasToken(h["Connection"], "close")
	old := !res.ProtoAtLeast(1, 1)
	res.Close = closes || res.ProtoMajor < 1 || old && !hasToken(h["Connection"], "keep-alive")
	switches := res.StatusCode == http.StatusSwitchingProtocols && h.Get("Upgrade") != "" && hasToken(h["Connection"], "upgrade")
	bodiless := res.StatusCode/100 == 1 || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
	if closes && !old {
		delete(h, "Connection") // as net/http has it
	}
	switch {
	case method == http.MethodHead:
		res.ContentLength = announced
	case bodiless:
	case chunked:
		res.ContentLength, length = -1, inChunks
		delete(h, "Content-Length")
	case announced >= 0:
		res.ContentLength, length = announced, announced
	default:
		res.ContentLength, length = -1, untilEnd
		res.Close = true
	}
	if chunked {
		res.TransferEncoding = []string{"chunked"}
		delete(h, "Trailer") // what it announces is left unread
	}
	if switches {
		res.Close, length = true, untilEnd // what comes is not HTTP
	}
	return length, nil
}

// contentLength is -1 when none is announced. Several are one when they agree.
func contentLength(h http.Header) (int64, error) {
	all := h["Content-Length"]
	if len(all) == 0 {
		return -1, nil
	}
	first := textproto.TrimString(all[0])
	for _, s := range all[1:] {
		if textproto.TrimString(s) != first {
			return 0, errNoHTTP
		}
	}
	if len(all) > 1 {
		h["Content-Length"] = []string{first}
	}
	n, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, errNoHTTP
	}
	return int64(n), nil
}

// An answerBody reads the body of an answer. Close it before the probe ends.
type answerBody struct {
	exchange *exchange // nil after Close
	length   int64     // bytes that are still to come, or inChunks, or untilEnd
	chunk    chunks
	done     bool // all was read

	line *line
	stop func() bool
	keep place // zero: the connection is not kept
}

// Read reads the body.
func (b *answerBody) Read(p []byte) (n int, err error) {
	x := b.exchange
	switch {
	case x == nil:
		return 0, http.ErrBodyReadAfterClose
	case b.done || b.length == 0:
		b.done = true
		return 0, io.EOF
	case b.length == inChunks:
		n, err = b.chunk.read(x, p)
		b.done = err == io.EOF //nolint:errorlint // as io.Reader has it
		return n, err
	case b.length > 0 && int64(len(p)) > b.length:
		p = p[:b.length]
	}
	n, err = x.read(p)
	if b.length > 0 {
		b.length -= int64(n)
		if err == io.EOF { //nolint:errorlint // as io.Reader has it
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// Close keeps the connection where that is wanted and safe, or closes it.
func (b *answerBody) Close() error {
	x := b.exchange
	if x == nil {
		return nil
	}
	b.exchange = nil
	undisturbed := b.stop()
	if b.keep.wire != nil && undisturbed && (b.done || b.length == 0) && x.r == x.w {
		b.keep.wire.kept.put(b.keep, b.line)
	} else {
		b.line.close()
	}
	x.release()
	return nil
}

// read reads what is buffered, or else from the connection.
func (x *exchange) read(p []byte) (int, error) {
	if x.r == x.w {
		return x.conn.Read(p)
	}
	n := copy(p, x.in[x.r:x.w])
	x.r += n
	return n, nil
}

// chunks undoes the chunked coding (RFC 9112, section 7.1), with net/http's bounds.
type chunks struct {
	left int64 // of the chunk that is being read
	in   bool  // one is being read, or its end is
	vain int64 // bytes that were no data, beyond what is usual
}

var errChunk = errors.New("malformed chunked encoding")

// read fills p as far as it needs no second wait; [io.EOF] comes after the trailers.
func (c *chunks) read(x *exchange, p []byte) (n int, err error) {
	for len(p) > 0 {
		if n > 0 && x.r == x.w {
			return n, nil
		}
		if c.left == 0 {
			if err := c.next(x); err != nil {
				return n, err
			}
		}
		got, err := x.read(p[:min(int64(len(p)), c.left)])
		n, p, c.left = n+got, p[got:], c.left-int64(got)
		if err == io.EOF { //nolint:errorlint // as io.Reader has it
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// next ends one chunk and begins another.
func (c *chunks) next(x *exchange) error {
	if c.in {
		end, err := x.line(2)
		if err != nil || len(end) != 0 {
			return orChunk(err)
		}
	}
	line, err := x.line(maxLength)
	if err != nil {
		return err
	}
	c.vain += int64(len(line)) + 2
	size, _, _ := bytes.Cut(bytes.TrimRight(line, " \t"), []byte(";"))
	n, err := parseHex(size)
	if err != nil {
		return err
	}
	// As in net/http: chunks of one byte are fine, extensions without end are not.
	c.vain = max(c.vain-16-2*min(n, maxVain), 0)
	switch {
	case n == 0:
		return x.trailers()
	case c.vain > maxVain:
		return fmt.Errorf("%w: too much of it is no data", errChunk)
	}
	c.left, c.in = n, true
	return nil
}

func orChunk(err error) error {
	if err == nil {
		return errChunk
	}
	return err
}

func parseHex(b []byte) (n int64, err error) {
	if len(b) == 0 || len(b) > 16 {
		return 0, errChunk
	}
	for _, c := range b {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, errChunk
		}
		n = n<<4 | int64(c)
	}
	if n < 0 || n > math.MaxInt64/4 { // net/http finds most of these too long as well
		return 0, errChunk
	}
	return n, nil
}

// line returns the next line of at most most bytes, without the CRLF that must end it.
func (x *exchange) line(most int) ([]byte, error) {
	for {
		have := x.in[x.r:x.w]
		if i := bytes.IndexByte(have[:min(len(have), most)], '\n'); i >= 0 {
			x.r += i + 1
			if i == 0 || bytes.IndexByte(have[:i], '\r') != i-1 {
				return nil, errChunk
			}
			return have[:i-1], nil
		}
		if len(have) >= most {
			return nil, errChunk
		}
		if err := x.more(); err != nil {
			return nil, err
		}
	}
}

// more reads where an end would be untimely.
func (x *exchange) more() error {
	if err := x.fill(); err != io.EOF { //nolint:errorlint // as io.Reader has it
		return err
	}
	return io.ErrUnexpectedEOF
}

// trailers reads what follows the last chunk, and returns [io.EOF] when that is in order.
func (x *exchange) trailers() error {
	for {
		have := x.in[x.r:min(x.w, x.r+maxLength)]
		if bytes.HasPrefix(have, []byte("\r\n")) {
			x.r += 2
			return io.EOF
		}
		if i := bytes.Index(have, []byte("\r\n\r\n")); i >= 0 {
			x.r += i + 4
			if _, err := parseFields(string(have[:i+4])); err != nil {
				return errChunk
			}
			return io.EOF
		}
		if len(have) >= maxLength {
			return errChunk
		}
		if err := x.more(); err != nil {
			return err
		}
	}
}
