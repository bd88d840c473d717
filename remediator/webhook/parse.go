package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/sluice-project/sluice/edge"
)

// version is of Alertmanager's message. New fields come without a new version,
// so a field that isn't known is never refused.
const version = "4"

func asks(labels map[string]string) bool {
	return labels[edge.LabelRemediation] != "" && labels[edge.LabelAnnouncedBy] != edge.Announcer
}

// parse reads one message. Its error is about the envelope; what is wrong with
// one alert stands in that alert.
func parse(body []byte, maxAlerts int, wants func(map[string]string) bool) (Message, error) {
	if !utf8.Valid(body) {
		return Message{}, errors.New("body: not UTF-8") // the decoder would quietly put U+FFFD in place of a name
	}
	if err := shallow(body); err != nil {
		return Message{}, fmt.Errorf("body: %w", err)
	}
	top, err := object(body)
	if err != nil {
		return Message{}, fmt.Errorf("body: %w", err)
	}
	var v string
	if err := json.Unmarshal(top["version"], &v); err != nil || v != version {
		return Message{}, fmt.Errorf("version: want the text %q", version)
	}
	var m Message
	for name, to := range map[string]any{"receiver": &m.Receiver, "groupKey": &m.GroupKey, "truncatedAlerts": &m.Truncated} {
		if raw, ok := top[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return Message{}, fmt.Errorf("%s: %w", name, shapeError(err))
			}
		}
	}
	raw, err := array(top["alerts"], maxAlerts)
	if err != nil {
		return Message{}, fmt.Errorf("alerts: %w", err)
	}
	m.Alerts = make([]Alert, len(raw))
	for i, r := range raw {
		a, err := parseAlert(r)
		switch {
		case err != nil:
			a = Alert{Result: Invalid, Problem: fmt.Sprintf("alerts[%d]: %v", i, err)}
		case a.Labels[edge.LabelDrill] != "":
			a.Result = Drill // whoever marked it meant no step, whether we know of the drill or not
		case wants(a.Labels):
			a.Result = Wanted
		default:
			a.Result = Ignored
		}
		m.Alerts[i] = a
	}
	return m, nil
}

func parseAlert(raw []byte) (Alert, error) {
	fields, err := object(raw)
	if err != nil {
		return Alert{}, err
	}
	var a Alert
	var status string
	for name, to := range map[string]any{"status": &status, "startsAt": &a.StartsAt, "endsAt": &a.EndsAt} {
		if r, ok := fields[name]; ok {
			if err := json.Unmarshal(r, to); err != nil {
				return Alert{}, fmt.Errorf("%s: %w", name, shapeError(err))
			}
		}
	}
	switch status {
	case "firing":
		a.Firing = true
	case "resolved":
	default:
		return Alert{}, errors.New("status: want firing or resolved")
	}
	if a.Firing {
		a.EndsAt = time.Time{} // Alertmanager clears it; a relay may not
	}
	a.Labels, err = labels(fields["labels"])
	if err != nil {
		return Alert{}, fmt.Errorf("labels: %w", err)
	}
	return a, nil
}

func labels(raw []byte) (map[string]string, error) {
	fields, err := object(raw)
	if err != nil {
		return nil, err
	}
	if n := len(fields); n == 0 || n > maxLabels {
		return nil, fmt.Errorf("%d of them: want 1 to %d", n, maxLabels)
	}
	out := make(map[string]string, len(fields))
	for name, r := range fields {
		var value *string // null is no text
		switch err := json.Unmarshal(r, &value); {
		case name == "" || len(name) > maxLabelName:
			return nil, fmt.Errorf("a name of %d bytes: want 1 to %d", len(name), maxLabelName)
		case err != nil || value == nil:
			return nil, fmt.Errorf("%.40q is no text", name)
		case len(*value) > maxLabelValue:
			return nil, fmt.Errorf("%.40q has %d bytes: want at most %d", name, len(*value), maxLabelValue)
		}
		out[name] = *value
	}
	return out, nil
}

// object reads the fields of one JSON object. A name that occurs twice is
// refused: which of the two a reader takes differs from reader to reader, and
// encoding/json takes the last, and any case ("ALERTS"), without a word.
func object(raw []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("want an object")
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, shapeError(err)
		}
		name, ok := t.(string)
		if !ok {
			return nil, errShape
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%.40q occurs twice", name)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, shapeError(err)
		}
		fields[name] = value
	}
	return fields, end(dec)
}

// array reads the elements of one JSON array, at most limit.
func array(raw []byte, limit int) ([]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.New("want a list")
	}
	var out []json.RawMessage
	for dec.More() {
		if len(out) == limit {
			return nil, fmt.Errorf("%w: at most %d in one message", errTooBig, limit)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, shapeError(err)
		}
		out = append(out, value)
	}
	return out, end(dec)
}

// end wants the closing bracket, and nothing after it.
func end(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return shapeError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the end")
	}
	return nil
}

// errShape is what a sender learns of a text that isn't JSON. The decoder's own
// words quote the body, which may hold what is nobody's business.
var errShape = errors.New("not JSON, or not of the right shape")

func shapeError(error) error { return errShape }

// shallow refuses nesting beyond what any message has, before a decoder that
// calls itself for each level sees it.
func shallow(body []byte) error {
	depth, quoted, escaped := 0, false, false
	for _, c := range body {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth > maxNesting {
				return fmt.Errorf("nested deeper than %d", maxNesting)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
