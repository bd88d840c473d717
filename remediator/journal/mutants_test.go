package journal

import (
	"encoding/json"
	"errors"
	"hash/crc32"
	"testing"
)

// A value that reads well and isn't the one that was written is damaged (I19).
func TestAValueIsReadAsItWasWritten(t *testing.T) {
	value := func(shape int, sum uint32, data string) []byte {
		b, err := json.Marshal(record{shape, sum, json.RawMessage(data)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	const data = `{"member":{"device":"edge1","pool":"shop","member":"s1"},"max":3}`
	good := crc32.Checksum([]byte(data), castagnoli)
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"as written", value(1, good, data), nil},
		{"another number in it", value(1, good, `{"member":{"device":"edge1","pool":"shop","member":"s2"},"max":3}`), ErrUnreadable},
		{"another sum", value(1, good+1, data), ErrUnreadable},
		{"a newer version", value(1000, good, data), ErrUnreadable},
		{"no record", []byte(`[]`), ErrUnreadable},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h Hold
			if err := get(c.b, &h); !errors.Is(err, c.want) {
				t.Errorf("got %v; want %v", err, c.want)
			}
		})
	}
}
