package ptaf

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Version is the same for two objects that mean the same: a digest of all that
// is in them but for the id, last_modified and addresses, which the device makes
// by itself. The order of backends doesn't count, nor that of fields or the
// spelling of numbers; twins do go by their order. Unknown fields count. It is
// empty for an Upstream that was not parsed.
func (u Upstream) Version() string {
	if u.parts == nil {
		return ""
	}
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(u.parts)) {
		fmt.Fprintf(h, "%q=%s\n", name, u.parts[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// derived are left out of the version. Source: known clients strip these before
// a write and before a comparison. That nodes of a cluster may have other ids
// for the same upstream is a guess; a write asks for the id that it got anyway.
var derived = []string{"id", "last_modified", "addresses", "backends"}

// parts are what a version is made of: a canonical text for each backend, by
// its name, and for each other field, by its name in quotes.
func parts(all object, entries []entry) map[string]string {
	out := map[string]string{}
	for _, f := range all {
		if !slices.Contains(derived, f.name) {
			out[strconv.Quote(f.name)] = canonical(f.value)
		}
	}
	for _, e := range entries {
		// What is known is compared by its meaning: the device fills in defaults,
		// and makes real booleans of "True" and "False".
		known := map[string]string{
			"address": strconv.Quote(e.Address), "port": strconv.Itoa(e.Port), "weight": strconv.Itoa(e.Weight),
			"max_fails": "null", "down": strconv.FormatBool(e.Down), "backup": strconv.FormatBool(e.Backup),
		}
		if e.MaxFails != nil {
			known["max_fails"] = strconv.Itoa(*e.MaxFails)
		}
		for _, f := range e.all {
			if _, ok := known[f.name]; !ok {
				known[f.name] = canonical(f.value)
			}
		}
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(known)) {
			fmt.Fprintf(&b, "%q:%s,", name, known[name])
		}
		out[e.Name] = b.String()
	}
	return out
}

// canonical writes a value in one way: fields in order, numbers by their value.
func canonical(raw []byte) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return string(raw) // not reached: it was valid
	}
	var b strings.Builder
	writeCanonical(&b, v)
	return b.String()
}

func writeCanonical(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b.WriteString(strconv.Quote(k) + ":")
			writeCanonical(b, v[k])
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for _, e := range v {
			writeCanonical(b, e)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case string:
		b.WriteString(strconv.Quote(v))
	case json.Number:
		if digits, exponent, ok := decimal(v.String()); ok {
			b.WriteString(digits + "e" + strconv.Itoa(exponent))
			return
		}
		b.WriteString(v.String())
	default: // true, false, null
		fmt.Fprint(b, v)
	}
}

// maxNamed is how many differences an error names.
const maxNamed = 4

// differences tells what of got is not as in want, for a person.
func differences(want, got Upstream) string {
	names := map[string]string{}
	maps.Copy(names, want.parts)
	maps.Copy(names, got.parts)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		w, wanted := want.parts[name]
		g, there := got.parts[name]
		switch {
		case w == g && wanted == there:
		case !there:
			out = append(out, name+" is gone")
		case !wanted:
			out = append(out, name+" is new")
		default:
			out = append(out, name+" "+difference(want.find(name), got.find(name)))
		}
	}
	if more := len(out) - maxNamed; more > 0 {
		out = append(out[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	for i, s := range out {
		out[i] = line(s)
	}
	return strings.Join(out, ", ")
}

func difference(want, got *Backend) string {
	if want == nil || got == nil || want.Down == got.Down {
		return "is another"
	}
	if got.Down {
		return "is down"
	}
	return "is not down"
}

// find is a backend by its name, nil when there is none.
func (u Upstream) find(name string) *Backend {
	if i := slices.IndexFunc(u.Backends, func(b Backend) bool { return b.Name == name }); i >= 0 {
		return &u.Backends[i]
	}
	return nil
}
