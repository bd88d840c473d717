package promtext

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"pgregory.net/rapid"
)

func unzip(t interface{ Fatal(...any) }, b []byte) string {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false) // some readers stop after the first stream
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Whatever is said of how a text repeats itself, true or not, it comes back.
func TestSqueezedTextComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out bytes.Buffer
		s := newSqueezer(&out)
		defer s.free()
		var want strings.Builder
		for range rapid.IntRange(0, 3).Draw(t, "pieces") {
			var text []byte
			var marks []mark
			for range rapid.IntRange(0, 5).Draw(t, "parts") {
				line := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "line")
				if len(text) > 0 && rapid.Bool().Draw(t, "known") {
					distance := rapid.IntRange(1, len(text)).Draw(t, "distance")
					if last := len(marks) - 1; last < 0 || marks[last].distance != distance {
						marks = append(marks, mark{len(text), distance})
					}
					for range rapid.IntRange(1, 700).Draw(t, "length") {
						text = append(text, text[len(text)-distance])
					}
					if rapid.Bool().Draw(t, "but for a byte") {
						text[len(text)-1-rapid.IntRange(0, 9).Draw(t, "place")%len(text)] ^= line[0]
					}
					continue
				}
				if n := len(marks); n > 0 && marks[n-1].distance != 0 {
					marks = append(marks, mark{len(text), 0})
				}
				text = append(text, line...)
			}
			want.Write(text)
			if err := s.piece(text, marks); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		if got := unzip(t, out.Bytes()); got != want.String() {
			t.Fatalf("%q came back as %q", want.String(), got)
		}
	})
}

// Each length and each distance has its code.
func TestCodesOfMatches(t *testing.T) {
	for length := shortest; length <= 3*longest; length++ {
		for _, distance := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 255, 256, 257, 4095, 4096, 4097, window - 1, window, window + 1, 2 * window} {
			text := make([]byte, 0, distance+length)
			for i := range distance {
				text = append(text, byte(i*i>>3+i))
			}
			for range length {
				text = append(text, text[len(text)-distance])
			}
			var out bytes.Buffer
			s := newSqueezer(&out)
			if err := s.piece(text, []mark{{distance, distance}}); err != nil {
				t.Fatal(err)
			}
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			s.free()
			if got := unzip(t, out.Bytes()); got != string(text) {
				t.Fatalf("a match of %d bytes at a distance of %d doesn't come back", length, distance)
			}
			if length > 300 {
				break // of long ones one is enough
			}
		}
	}
}

// A code that is longer than deflate allows, or a set of codes that leaves some
// unused, would be refused by every reader.
func TestCodesAreWhole(t *testing.T) {
	for name, codes := range map[string][]symbol{"literals": canned.literals[:], "distances": canned.distances[:]} {
		for s, c := range codes {
			if c.n == 0 || c.n > mostCodeBits {
				t.Errorf("%s: the code of %d has %d bits", name, s, c.n)
			}
		}
	}
	for length := shortest; length <= longest; length++ {
		if canned.lengths[length].n == 0 {
			t.Errorf("a length of %d has no code", length)
		}
	}
}

// table is a page such as a HAProxy with many servers makes.
func table(servers int) Page {
	s := NewSheet()
	rows := NewRows(servers)
	var columns []*Column
	for i := range 40 {
		columns = append(columns, s.Family(fmt.Sprintf("haproxy_server_metric_%d_total", i), Counter, "Something.").Numbers(rows, ""))
	}
	states := s.Family("haproxy_server_check_status", Gauge, "Checks.").States(rows, strings.Fields("HANA SOCKERR L4OK L4TOUT L4CON L6OK L6TOUT L6RSP L7TOUT L7RSP L7OK L7OKC"))
	for i := range servers {
		rows.Add([]byte(Labels("device", "edge1", "proxy", fmt.Sprintf("be_%04d", i/100), "server", fmt.Sprintf("srv_%03d", i%100))))
		for j, c := range columns {
			v := "0"
			if j%5 == 0 {
				v = strconv.Itoa(i*j + j)
			}
			c.Number([]byte(v))
		}
		states.State(10 + i%7/6)
	}
	return Page{Sheets: []*Sheet{s}}
}

// What is known of columns is true: they get shorter than compress/gzip makes them
// at its fastest.
func TestColumnsAreSqueezedWell(t *testing.T) {
	page := table(3000)
	var plain bytes.Buffer
	if err := page.WriteText(&plain, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		t.Fatal(err)
	}
	zipped, theirs := squeezed(t, page), zipped(t, plain.Bytes())
	if got := unzip(t, zipped); got != plain.String() {
		t.Error("the text doesn't come back")
	}
	if len(zipped) > len(theirs) {
		t.Errorf("%d bytes of %d; compress/gzip makes it %d", len(zipped), plain.Len(), len(theirs))
	}
}

func squeezed(tb interface{ Fatal(...any) }, page Page) []byte {
	t, err := page.text(expfmt.NewFormat(expfmt.TypeTextPlain))
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	s := newSqueezer(&out)
	defer s.free()
	if err := writeAll(t, func(p piece) error { return s.piece(p.text, p.marks) }); err != nil {
		tb.Fatal(err)
	}
	if err := s.close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func zipped(tb testing.TB, text []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := z.Write(text); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkGzip sets the way from columns to gzip beside compress/gzip's, which
// has the text already.
func BenchmarkGzip(b *testing.B) {
	page := table(10_000)
	var plain bytes.Buffer
	if err := page.WriteText(&plain, expfmt.NewFormat(expfmt.TypeTextPlain)); err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name string
		run  func() int
	}{
		{"squeezed", func() int { return len(squeezed(b, page)) }},
		{"compress_gzip", func() int { return len(zipped(b, plain.Bytes())) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			n := 0
			b.SetBytes(int64(plain.Len()))
			for b.Loop() {
				n = way.run()
			}
			b.ReportMetric(float64(plain.Len())/float64(n), "times-shorter")
		})
	}
}

// Whatever sheets there are, with labels longer than a buffer and values of any
// length in turns, gzip gives back the text, in the length that is announced.
func TestPagesComeBack(t *testing.T) {
	digits := rapid.OneOf(rapid.SampledFrom([]string{"", "0", "1"}), rapid.StringMatching(`[1-9][0-9]{0,19}`))
	rapid.Check(t, func(t *rapid.T) {
		var page Page
		for range rapid.IntRange(1, 3).Draw(t, "sheets") {
			s := NewSheet()
			s.Family("single", Gauge, "A.")
			s.Value(Labels("l", rapid.String().Draw(t, "single")), "", 1)
			rows := NewRows(0)
			columns := []*Column{s.Family("a_total", Counter, "A.").Numbers(rows, ""), s.Family("b", Gauge, "B.").Numbers(rows, `code="2xx"`)}
			states := s.Family("c", Gauge, "C.").States(rows, []string{"DOWN", "UP", "MAINT"})
			width := rapid.SampledFrom([]int{1, 20, 1_000, window/2 - 20, window - 20, window, 100_000, buffered - 20, buffered, buffered + 1_000}).Draw(t, "width")
			few := max(2, min(200, 4*buffered/width))
			for i := range rapid.IntRange(0, few).Draw(t, "rows") {
				n := width - rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "shorter")
				rows.Add([]byte(Labels("server", strings.Repeat("x", n)+strconv.Itoa(i))))
				for _, c := range columns {
					c.Number([]byte(digits.Draw(t, "value")))
				}
				states.State(rapid.IntRange(None, 2).Draw(t, "state"))
			}
			page.Sheets = append(page.Sheets, s)
		}
		want := textOf(t, plain, page)
		if text, err := page.text(plain); err != nil || text.size() != len(want) {
			t.Fatalf("%d bytes, announced %d, %v", len(want), text.size(), err)
		}
		if got := unzip(t, squeezed(t, page)); got != want {
			t.Fatalf("%d bytes came back as %d others", len(want), len(got))
		}
	})
}
