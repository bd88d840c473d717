package promtext

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// Labels makes the text of labels from names and values in turns:
// Labels("device", "edge1", "pool", "web") is device="edge1",pool="web".
func Labels(pairs ...string) string {
	var b []byte
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, pairs[i]...)
		b = append(b, `="`...)
		b = AppendEscaped(b, []byte(pairs[i+1]))
		b = append(b, '"')
	}
	return string(b)
}

// AppendEscaped appends a label's value as it stands between its quotes.
func AppendEscaped(b, value []byte) []byte {
	for _, c := range value {
		if c == '\\' || c == '"' || c == '\n' || c >= utf8.RuneSelf {
			return append(b, labelEscaper.Replace(strings.ToValidUTF8(string(value), "\uFFFD"))...)
		}
	}
	return append(b, value...)
}

// IsNumber says whether a text is a plain decimal number that a float64 holds. One
// wrong byte would make Prometheus refuse the whole scrape, and so would one digit
// too many.
func IsNumber(s []byte) bool {
	if len(s) == 0 {
		return false
	}
	for i, c := range s {
		if c-'0' > 9 {
			return i == 0 && c == '-' && IsDigits(s[1:]) || isFloat(s)
		}
	}
	return len(s) <= mostDigits || isFloat(s)
}

// mostDigits are those of which any number is less than the largest float64, 1.8e308.
const mostDigits = 308

// IsDigits says whether a text is of digits alone, and not of too many for a float64.
func IsDigits(s []byte) bool {
	for _, c := range s {
		if c-'0' > 9 {
			return false
		}
	}
	return len(s) > 0 && len(s) <= mostDigits
}

func isFloat(s []byte) bool {
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9', c == '.', c == 'e', c == 'E', c == '-', c == '+' && i > 0:
		default:
			return false
		}
	}
	_, err := strconv.ParseFloat(string(s), 64)
	return err == nil
}

// AppendSeconds appends a whole number of milliseconds as seconds, or nothing
// when it is none.
func AppendSeconds(b, ms []byte) []byte {
	if len(ms) == 0 {
		return b
	}
	if !IsDigits(ms) {
		n, err := strconv.ParseInt(string(ms), 10, 64)
		if err != nil {
			return b
		}
		return strconv.AppendFloat(b, float64(n)/1000, 'f', -1, 64)
	}
	for len(ms) > 1 && ms[0] == '0' {
		ms = ms[1:]
	}
	whole, rest := ms[:max(len(ms)-3, 0)], ms[max(len(ms)-3, 0):]
	if len(whole) == 0 {
		b = append(b, '0')
	}
	b = append(b, whole...)
	from := len(b)
	b = append(append(b, '.'), "000"[len(rest):]...)
	b = append(b, rest...)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if len(b) == from+1 {
		b = b[:from] // a whole number of seconds
	}
	return b
}
