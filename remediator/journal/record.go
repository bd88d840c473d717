package journal

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// format is of the values' shape. A file with a greater one was written by a
// newer Sluice and is refused whole, rather than half understood.
const format = 1

// A record is a value as it stands in the store. bbolt has no checksum for its
// pages, so each value brings its own.
type record struct {
	Version int             `json:"v"`
	Sum     uint32          `json:"crc32c"` // of Data, byte for byte
	Data    json.RawMessage `json:"data"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func put(tx txn, b bucket, key []byte, value any) error {
	rec, err := seal(value)
	if err != nil {
		return err
	}
	return tx.put(b, key, rec)
}

// seal makes a record of value; get is its inverse.
func seal(value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(record{format, crc32.Checksum(data, castagnoli), data})
}

func get(b []byte, value any) error {
	var rec record
	if err := json.Unmarshal(b, &rec); err != nil {
		return fmt.Errorf("%w: a value is damaged: %w", ErrUnreadable, err)
	}
	if rec.Version != format {
		return fmt.Errorf("%w: a value has version %d, this program knows %d", ErrUnreadable, rec.Version, format)
	}
	if sum := crc32.Checksum(rec.Data, castagnoli); sum != rec.Sum {
		return fmt.Errorf("%w: a value is damaged: checksum %08x, want %08x", ErrUnreadable, sum, rec.Sum)
	}
	if err := json.Unmarshal(rec.Data, value); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return nil
}
