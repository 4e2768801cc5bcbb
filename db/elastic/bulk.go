package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// put appends an action to a request.
func (b *bulk) put(body *bytes.Buffer, a action) error {
	w := b.ws[a.i]
	target := object{"_id": w.ID}
	if a.seq >= 0 {
		target["if_seq_no"], target["if_primary_term"] = a.seq, a.term
	}
	e := json.NewEncoder(body)
	if err := e.Encode(object{a.verb: target}); err != nil {
		return fault.Mark(fault.Invalid, err)
	}
	if w.Record == nil {
		return nil
	}
	r := *w.Record
	r.Version, r.Created = a.version, a.created
	doc, err := newDocument(&r)
	if err != nil {
		return err
	}
	doc.Write = b.names[a.i]
	if err := e.Encode(doc); err != nil {
		return fault.Mark(fault.Invalid, err)
	}
	return nil
}

// send sends a request and takes note of what became of its actions.
func (b *bulk) send(ctx context.Context, actions []action, body []byte) (wait bool) {
	of := make([]int, len(actions))
	for n, a := range actions {
		of[n] = a.i
	}
	query := "require_alias=true&filter_path=items.*.status,items.*.error,error,status"
	if end, ok := ctx.Deadline(); ok { // the server gives up first, and says so
		query += fmt.Sprintf("&timeout=%dms", max(1, time.Until(end).Milliseconds()/2))
	}
	if b.d.config.refresh == RefreshWrites {
		query += "&refresh=wait_for"
	}
	answer, err := b.d.client.do(ctx, request{method: http.MethodPost, path: "/" + b.t.name + "/_bulk", query: query, body: body, lines: true, write: true})
	var refused *Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusRequestEntityTooLarge && len(actions) > 1:
		b.most = len(body) / 2
		b.again(of...)
		return false
	case err != nil:
		b.fail(of, gone(b.t, err))
		return false
	}
	var items struct {
		Items []map[string]struct {
			Status int
			Error  *cause
		}
	}
	if err := json.Unmarshal(answer, &items); err != nil || len(items.Items) != len(actions) {
		b.fail(of, fault.Markf(fault.UnknownOutcome, "an answer for %d writes of %d: %v", len(items.Items), len(actions), err))
		return false
	}
	busy := false
	for n, a := range actions {
		item, ok := items.Items[n][a.verb]
		switch e := newError(item.Status, item.Error); {
		case !ok || item.Status < 200:
			b.errs[a.i] = fault.Markf(fault.UnknownOutcome, "an answer that does not say what became of the write")
		case item.Status/100 == 2:
			b.done(a)
		case a.verb == "delete" && item.Status == http.StatusNotFound && item.Error == nil:
			b.errs[a.i] = fault.NotFound
		case item.Status == http.StatusConflict:
			b.errs[a.i] = e.marked(true)
			b.again(a.i)
			wait = true
		case item.Status == http.StatusTooManyRequests && b.busy < maxBusy:
			b.again(a.i)
			wait, busy = true, true
		default:
			b.errs[a.i] = gone(b.t, e.marked(true))
		}
	}
	if busy {
		b.busy++
	}
	return wait
}
