package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/sluice-project/sluice/remediator/journal"
)

// mostSteps is as many as the remediator gives in one answer.
const mostSteps = 10_000

// Steps returns what the remediator has entered in its journal after the entry
// with that number, oldest first.
func (r *Rig) Steps(ctx context.Context, after uint64) ([]journal.Entry, error) {
	var data struct{ Steps []journal.Entry }
	err := r.api(ctx, fmt.Sprintf("/api/v1/steps?limit=%d&after=%d", mostSteps, after), &data)
	return data.Steps, err
}

// Images returns the journal's entries of objects around a write, oldest first.
func (r *Rig) Images(ctx context.Context) ([]journal.Entry, error) {
	var data struct{ Steps []journal.Entry }
	err := r.api(ctx, fmt.Sprintf("/api/v1/steps?limit=%d&event=image&images=1", mostSteps), &data)
	return data.Steps, err
}

// Holds returns what the remediator holds.
func (r *Rig) Holds(ctx context.Context) ([]journal.Hold, error) {
	var data struct{ Holds []journal.Hold }
	err := r.api(ctx, "/api/v1/holds", &data)
	return data.Holds, err
}

// api asks the remediator and decodes what is in the envelope.
func (r *Rig) api(ctx context.Context, path string, data any) error {
	var envelope struct {
		Success    bool            `json:"success"`
		StatusCode int             `json:"status_code"`
		Data       json.RawMessage `json:"data"`
		Error      string          `json:"error"`
	}
	if err := GetJSON(ctx, r.Remediator.URL+path, &envelope); err != nil {
		return err
	}
	if !envelope.Success || envelope.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: success %v, status_code %d: %s", path, envelope.Success, envelope.StatusCode, envelope.Error)
	}
	return json.Unmarshal(envelope.Data, data)
}
