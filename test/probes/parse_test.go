package probes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// parse reads the answers of one connection.
func parse(all []byte) (out []answer, err error) {
	r := bufio.NewReader(bytes.NewReader(all))
	for {
		if _, err := r.Peek(1); errors.Is(err, io.EOF) {
			return out, nil
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return out, fmt.Errorf("%w: %w: %.200q", errShort, err, all)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil && resp.Header.Get("Content-Length") == "" {
			return out, fmt.Errorf("%w: %w: %.200q", errShort, err, all)
		}
		if err := resp.Body.Close(); err != nil {
			return out, err
		}
		out = append(out, answer{resp.StatusCode, resp.Header, body})
	}
}
