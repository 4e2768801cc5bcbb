package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/event"
)

// EventLine is one record of api/events.
type EventLine struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Source  string    `json:"source,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time"`
	Data    string    `json:"data,omitempty"` // at most 2000 bytes
}

func (p *Page) events(r *http.Request) (any, error) {
	n, err := limit(r, 100)
	if err != nil {
		return nil, err
	}
	opts := []event.QueryOption{event.Reverse(), event.Limit(n)}
	v := r.URL.Query()
	if s := v.Get("type"); s != "" {
		opts = append(opts, event.Types(s))
	}
	if s := v.Get("source"); s != "" {
		opts = append(opts, event.Source(s))
	}
	if s := v.Get("subject"); s != "" {
		opts = append(opts, event.Subject(s))
	}
	out := []EventLine{}
	for rec, err := range p.o.events.Query(r.Context(), opts...) {
		if err != nil {
			return nil, err
		}
		out = append(out, EventLine{rec.ID, rec.Type, rec.Source, rec.Subject, rec.Time, text(rec.Data)})
	}
	return out, nil
}

// text is what a person can read of some data: JSON without base64 where that
// holds JSON itself, as the records of db/changes do.
func text(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%d bytes", len(b))
	}
	if len(b) <= readable {
		var v any
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if d.Decode(&v) == nil && !d.More() {
			if opened, found := open(v); found {
				b = marshal(opened)
			}
		}
	}
	if len(b) > shown {
		return strings.ToValidUTF8(string(b[:shown]), "") + "…"
	}
	return string(b)
}

// Bounds of what is shown of a record, and of what is read for it, in bytes.
const (
	shown    = 2000
	readable = 64 << 10
)

// open replaces base64 of a JSON object or array by what it says, and reports
// whether there was any.
func open(v any) (any, bool) {
	found := false
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			opened, ok := open(e)
			v[k], found = opened, found || ok
		}
	case []any:
		for i, e := range v {
			opened, ok := open(e)
			v[i], found = opened, found || ok
		}
	case string:
		raw, err := base64.StdEncoding.DecodeString(v)
		if err == nil && len(raw) > 1 && (raw[0] == '{' || raw[0] == '[') && json.Valid(raw) {
			return json.RawMessage(raw), true
		}
	}
	return v, found
}

// marshal writes what was JSON before, with <, > and & as they are.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}
