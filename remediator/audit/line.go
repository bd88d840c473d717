package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-project/sluice/remediator/journal"
)

// Events of lines that are the stream's own. Their Seq is that of the journal's
// entry which the stream has come to: a line after them has a greater one.
const (
	// EventRepaired says that the file ended in the middle of a line, which was
	// cut off and kept aside.
	EventRepaired = "audit_repaired"
	// EventNewJournal says that the journal is not the one whose entries stand
	// above: the file was lost or set aside, and Seq counts from 1 again.
	EventNewJournal = "audit_new_journal"
)

// genesis is the prev of the very first line.
var genesis = strings.Repeat("0", sha256.Size*2)

// mostLine bounds a line, in bytes: whoever reads a file need not trust it.
const mostLine = 64 << 20

// content is a line without its sum. The names around a write stand for the
// bytes, which are the journal's to keep.
type content struct {
	Prev string `json:"prev"`
	journal.Entry
	Before *image `json:"before,omitempty"`
	After  *image `json:"after,omitempty"`
}

type image struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func imageOf(b []byte) *image {
	if len(b) == 0 {
		return nil
	}
	return &image{len(b), hashOf(b)}
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// The end of each line: what stands before it, and closeLine, is what its sum is of.
const (
	openSum   = `,"sum":"`
	closeSum  = `"}`
	closeLine = "}\n"
	sumLength = len(openSum) + sha256.Size*2 + len(closeSum)
)

// encode makes the line of e that follows the line with hash prev. It ends in
// "\n", and holds no other.
func encode(prev string, e journal.Entry) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // so that jq -c writes the same bytes, as a rule
	if err := enc.Encode(content{prev, e, imageOf(e.Before), imageOf(e.After)}); err != nil {
		return nil, fmt.Errorf("entry %d: %w", e.Seq, err)
	}
	// encoding/json passes on what it is given raw, as long as that is JSON to it.
	text := bytes.ToValidUTF8(b.Bytes(), []byte("\uFFFD"))
	sum := hashOf(text)
	text = append(text[:len(text)-len(closeLine)], openSum+sum+closeSum+"\n"...)
	if len(text) > mostLine {
		return nil, fmt.Errorf("entry %d: its line would have %d bytes, at most %d are read again", e.Seq, len(text), mostLine)
	}
	return text, nil
}

// A Line is one line of the stream. Its entry's Before and After are nil.
type Line struct {
	Prev string // hash of the line before, with its newline
	Hash string // of this line, with its newline
	journal.Entry
}

var (
	errNoNewline = errors.New("ends without a newline")
	errNoSum     = errors.New(`doesn't end in "sum":"64 hex digits"}`)
	errText      = errors.New("is no text in UTF-8")
	errPrev      = errors.New(`has no "prev" of 64 hex digits`)
	errSeq       = errors.New(`has no "seq"`)
	errEvent     = errors.New(`has no "event"`)
)

// ParseLine reads one line, which ends in its newline, and checks its sum. It
// knows nothing of the lines around it. Keys that it doesn't know are a newer
// version's, and are left alone.
func ParseLine(text []byte) (Line, error) {
	body, ok := bytes.CutSuffix(text, []byte("\n"))
	if !ok {
		return Line{}, errNoNewline
	}
	cut := len(body) - sumLength
	if cut < 0 || !bytes.HasPrefix(body[cut:], []byte(openSum)) || !bytes.HasSuffix(body, []byte(closeSum)) {
		return Line{}, errNoSum
	}
	said := string(body[cut+len(openSum) : len(body)-len(closeSum)])
	if !isHash(said) {
		return Line{}, errNoSum
	}
	h := sha256.New()
	h.Write(body[:cut])
	h.Write([]byte(closeLine))
	if sum := hex.EncodeToString(h.Sum(nil)); sum != said {
		return Line{}, fmt.Errorf(`its content has SHA-256 %s, its "sum" says %s: it was changed`, sum, said)
	}
	if !utf8.Valid(body) {
		return Line{}, errText
	}
	// Before and After stand here once more, so that the entry's, which are
	// bytes, are not looked for.
	var in struct {
		Prev string `json:"prev"`
		journal.Entry
		Before *image `json:"before"`
		After  *image `json:"after"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return Line{}, fmt.Errorf("isn't what Sluice writes: %w", err)
	}
	switch {
	case !isHash(in.Prev):
		return Line{}, errPrev
	case in.Event == "":
		return Line{}, errEvent
	case in.Seq == 0 && !own(in.Event):
		return Line{}, errSeq
	}
	return Line{Prev: in.Prev, Hash: hashOf(text), Entry: in.Entry}, nil
}

func own(event string) bool { return event == EventRepaired || event == EventNewJournal }

func isHash(s string) bool {
	return len(s) == sha256.Size*2 && strings.Trim(s, "0123456789abcdef") == ""
}

// A tail is what the next line has to follow.
type tail struct {
	hash string
	seq  uint64
	at   time.Time // of the entry seq; zero when the last line is the stream's own
}

// follow judges a line by the one before.
func (t tail) follow(l Line) (tail, error) {
	switch {
	case l.Prev != t.hash:
		return t, fmt.Errorf(`its "prev" is %s, the line before has SHA-256 %s: a line was changed, taken out or put in`, l.Prev, t.hash)
	case l.Event == EventNewJournal && l.Seq != 0, l.Event == EventRepaired && l.Seq != t.seq:
		return t, fmt.Errorf("its seq is %d, which %s doesn't have after %d", l.Seq, l.Event, t.seq)
	case !own(l.Event) && l.Seq <= t.seq:
		return t, fmt.Errorf("its seq is %d, after %d", l.Seq, t.seq)
	}
	return tailOf(l), nil
}

func tailOf(l Line) tail {
	t := tail{hash: l.Hash, seq: l.Seq}
	if !own(l.Event) {
		t.at = l.At
	}
	return t
}
